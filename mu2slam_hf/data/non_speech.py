# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Seeded sounds without speech, for the calibration of silence: noise, hum, tones, clicks, music-like sound."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.random_keys import counter_generator

Sound = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class NonSpeechClip:
    """A sound without speech.

    Attributes:
        kind: a key of `NON_SPEECH_KINDS`.
        level_dbfs: root mean square in dB relative to full scale; minus infinity for digital silence.
        waveform: `(n,)` float32 at 16 kHz, in [-1, 1].
    """

    kind: str
    level_dbfs: float
    waveform: FloatArray


def generate_non_speech(
    num_clips: int, *, seed: int = 0, kinds: Mapping[str, Sound] | None = None
) -> Iterator[NonSpeechClip]:
    """Sounds of all kinds in turn, 0.5 to 12 s long, at levels from -60 to -12 dBFS (less for sounds of high peaks).

    Args:
        num_clips: number of clips.
        seed: seed; a clip is a function of seed, kind and position.
        kinds: the sounds; None means `NON_SPEECH_KINDS`.
    """
    table = NON_SPEECH_KINDS if kinds is None else kinds
    names = list(table)
    for index in range(num_clips):
        kind = names[index % len(names)]
        generator = counter_generator(seed, "non_speech", kind, index)
        seconds = float(np.exp(generator.uniform(np.log(0.5), np.log(12.0))))
        level = float(generator.uniform(-60.0, -12.0))
        raw = table[kind](round(seconds * SAMPLING_RATE), generator)
        waveform = _at_level(raw, level)
        # Less than what was drawn, if the peaks would have been clipped.
        level = 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64))) if raw.any() else -np.inf
        yield NonSpeechClip(kind=kind, level_dbfs=float(level), waveform=waveform)


def _at_level(samples: np.ndarray, level_dbfs: float) -> FloatArray:
    """Scaled to a root mean square, or less where the peaks would be clipped."""
    rms = float(np.sqrt(np.mean(samples**2)))
    if rms == 0.0:
        return samples.astype(np.float32)
    scaled = samples * (10 ** (level_dbfs / 20) / rms)
    return (scaled / max(1.0, float(np.abs(scaled).max()))).astype(np.float32)


def _times(num_samples: int) -> np.ndarray:
    return np.arange(num_samples) / SAMPLING_RATE


def _digital_silence(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    return np.zeros(num_samples)


def _coloured_noise(num_samples: int, generator: np.random.Generator, exponent: float) -> np.ndarray:
    """Noise with a power spectrum of `1 / f ** exponent` above 20 Hz."""
    spectrum = np.fft.rfft(generator.standard_normal(num_samples))
    frequencies = np.maximum(np.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE), 20.0)
    return np.fft.irfft(spectrum / frequencies ** (exponent / 2), n=num_samples)


def _white_noise(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal(num_samples)


def _pink_noise(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    return _coloured_noise(num_samples, generator, 1.0)


def _brown_noise(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    return _coloured_noise(num_samples, generator, 2.0)


def _band_noise(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Noise of a band, with a slow swell, as of wind, rain or traffic."""
    spectrum = np.fft.rfft(generator.standard_normal(num_samples))
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLING_RATE)
    centre, width = generator.uniform(150, 4000), generator.uniform(0.2, 1.0)
    shape = np.exp(-0.5 * (np.log(np.maximum(frequencies, 1.0) / centre) / width) ** 2)
    swell = 1 + generator.uniform(0, 0.8) * np.sin(
        2 * np.pi * (generator.uniform(0.1, 1.5) * _times(num_samples) + generator.uniform())
    )
    return np.fft.irfft(spectrum * shape, n=num_samples) * swell


def _hum(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Mains hum with harmonics, and some noise."""
    base, time = generator.choice([50.0, 60.0]), _times(num_samples)
    tones = [
        generator.uniform(0.1, 1.0) / order * np.sin(2 * np.pi * (base * order * time + generator.uniform()))
        for order in range(1, int(generator.integers(2, 12)))
    ]
    return np.sum(tones, axis=0) + generator.uniform(0, 0.05) * generator.standard_normal(num_samples)


def _tone(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """One to three constant tones."""
    time = _times(num_samples)
    frequencies = np.exp(generator.uniform(np.log(80), np.log(6000), size=int(generator.integers(1, 4))))
    return np.sum([np.sin(2 * np.pi * (f * time + generator.uniform())) for f in frequencies], axis=0)


def _sweep(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """A tone that glides up or down, once or, as a siren does, again and again."""
    low, high = np.sort(np.exp(generator.uniform(np.log(100), np.log(5000), size=2)))
    cycles = generator.uniform(0.3, 1.5) * num_samples / SAMPLING_RATE
    position = 0.5 - 0.5 * np.cos(2 * np.pi * cycles * np.linspace(0, 1, num_samples) + generator.uniform(0, np.pi))
    return np.sin(2 * np.pi * np.cumsum(low * (high / low) ** position) / SAMPLING_RATE)


def _beeps(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Tones that are switched on and off: dialling, ringing, busy."""
    time = _times(num_samples)
    period, share = np.exp(generator.uniform(np.log(0.08), np.log(2.0))), generator.uniform(0.2, 0.8)
    turn = (time // period).astype(int)
    pairs = generator.uniform(300, 2500, size=(int(generator.integers(1, 7)), 2))
    chosen = pairs[turn % len(pairs)]
    return (time % period < share * period) * np.sin(2 * np.pi * time[:, None] * chosen).sum(axis=1)


def _clicks(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Short decaying impulses, regular or random: a clock, a keyboard, crackle."""
    rate = np.exp(generator.uniform(np.log(0.7), np.log(30.0)))
    gaps = (
        np.full(num_samples, 1 / rate) if generator.uniform() < 0.4 else generator.exponential(1 / rate, num_samples)
    )
    indices = np.cumsum(gaps * SAMPLING_RATE).astype(int)
    impulses = np.zeros(num_samples)
    impulses[0 if num_samples < 2 else num_samples // 2] = 1.0
    indices = indices[indices < num_samples]
    impulses[indices] = generator.uniform(0.3, 1.0, size=len(indices))
    length = int(generator.uniform(0.002, 0.03) * SAMPLING_RATE)
    time = np.arange(length) / length
    carrier = np.sin(2 * np.pi * generator.uniform(500, 5000) * np.arange(length) / SAMPLING_RATE)
    tail = np.exp(-5 * time) * (carrier + generator.standard_normal(length))
    return _convolve(impulses, tail)


def _convolve(samples: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    size = len(samples) + len(kernel)
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(kernel, size), size)[: len(samples)]


def _note(frequency: float, num_samples: int, generator: np.random.Generator, decay: float) -> np.ndarray:
    """A note with harmonics, vibrato and an envelope."""
    time = _times(num_samples)
    vibrato = 1 + generator.uniform(0, 0.01) * np.sin(2 * np.pi * generator.uniform(4, 7) * time)
    phase = 2 * np.pi * np.cumsum(frequency * vibrato) / SAMPLING_RATE
    tones = [generator.uniform(0.2, 1.0) / order**1.3 * np.sin(order * phase) for order in range(1, 8)]
    attack = np.minimum(time / generator.uniform(0.005, 0.08), 1.0)
    release = np.minimum((num_samples / SAMPLING_RATE - time) / 0.03, 1.0)
    return np.sum(tones, axis=0) * attack * release * np.exp(-decay * time)


def _melody(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Single notes of a scale."""
    return _music(num_samples, generator, num_voices=1)


def _chords(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Chords of three or four notes."""
    return _music(num_samples, generator, num_voices=int(generator.integers(3, 5)))


def _music(num_samples: int, generator: np.random.Generator, num_voices: int) -> np.ndarray:
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    base, decay = 110.0 * 2 ** generator.uniform(0, 2.0), generator.uniform(0.0, 6.0)
    length = max(1, int(generator.uniform(0.12, 0.8) * SAMPLING_RATE))
    music = np.zeros(num_samples)
    for start in range(0, num_samples, length):
        degree = int(generator.integers(0, 7))
        for voice in range(num_voices):
            step = degree + 2 * voice
            frequency = base * 2 ** ((scale[step % 7] + 12 * (step // 7)) / 12)
            stop = min(start + length, num_samples)
            music[start:stop] += _note(frequency, stop - start, generator, decay)
    return music


def _drums(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """A beat of kick, snare and cymbal."""
    beat = max(1, int(generator.uniform(0.15, 0.4) * SAMPLING_RATE))
    music = np.zeros(num_samples)
    for number, start in enumerate(range(0, num_samples, beat)):
        time = _times(min(int(0.25 * SAMPLING_RATE), num_samples - start))
        kick = np.sin(2 * np.pi * 60 * time * np.exp(-4 * time)) * np.exp(-18 * time)
        snare = generator.standard_normal(len(time)) * np.exp(-25 * time)
        cymbal = np.diff(generator.standard_normal(len(time) + 1)) * np.exp(-60 * time)
        hit = kick if number % 4 == 0 else snare if number % 4 == 2 else 0.0 * kick
        music[start : start + len(time)] += hit + 0.3 * cymbal
    return music


def _engine(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """A motor: pulses of noise at a slowly changing rate of 15 to 90 Hz."""
    time = _times(num_samples)
    rate = generator.uniform(15, 90) * (1 + 0.1 * np.sin(2 * np.pi * generator.uniform(0.05, 0.5) * time))
    pulses = np.maximum(np.sin(2 * np.pi * np.cumsum(rate) / SAMPLING_RATE), 0.0) ** 3
    return pulses * _coloured_noise(num_samples, generator, 1.0) * 30 + 0.3 * pulses


def _fluttering_noise(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Noise that swells three to six times per second, as the syllables of speech do."""
    time = _times(num_samples)
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * (generator.uniform(2.0, 7.0) * time + generator.uniform()))
    return _coloured_noise(num_samples, generator, generator.uniform(0.0, 1.5)) * envelope ** generator.uniform(1, 3)


NON_SPEECH_KINDS: dict[str, Sound] = {
    "silence": _digital_silence,
    "white_noise": _white_noise,
    "pink_noise": _pink_noise,
    "brown_noise": _brown_noise,
    "band_noise": _band_noise,
    "fluttering_noise": _fluttering_noise,
    "hum": _hum,
    "engine": _engine,
    "tone": _tone,
    "sweep": _sweep,
    "beeps": _beeps,
    "clicks": _clicks,
    "melody": _melody,
    "chords": _chords,
    "drums": _drums,
}
"""Maps kinds of sound to `(num_samples, generator) -> (num_samples,)` float64, at any level."""
