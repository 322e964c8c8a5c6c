# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sounds without speech of kinds that calibration does not use, to measure how its decision carries over."""

from collections.abc import Callable

import numpy as np

from mu2slam_hf.data.audio import SAMPLING_RATE


def _times(num_samples: int) -> np.ndarray:
    return np.arange(num_samples) / SAMPLING_RATE


def _birds(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Short glides between 2 and 7 kHz."""
    sound, place = np.zeros(num_samples), 0
    while place < num_samples:
        length = min(int(generator.uniform(0.03, 0.2) * SAMPLING_RATE), num_samples - place)
        frequency = generator.uniform(2000, 5000) + generator.uniform(-15000, 15000) * _times(length)
        sound[place : place + length] = np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLING_RATE) * np.hanning(length)
        place += length + 1 + int(generator.exponential(0.15) * SAMPLING_RATE)
    return sound


def _rain(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    drops = generator.standard_normal(num_samples) * (generator.uniform(size=num_samples) < 0.02)
    return drops + 0.05 * generator.standard_normal(num_samples)


def _telephone_ring(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    time = _times(num_samples)
    tones = np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 480 * time) + 0.3 * np.sin(2 * np.pi * 20 * time)
    return ((time + generator.uniform(0, 2)) % 6 < 2) * tones + 1e-6


def _bells(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    sound, place = np.zeros(num_samples), 0
    while place < num_samples:
        time, base = _times(num_samples - place), generator.uniform(200, 1200)
        for order, ratio in enumerate((0.5, 1.0, 1.19, 1.56, 2.0, 2.66)):
            sound[place:] += np.exp(-time * (1 + order)) * np.sin(2 * np.pi * base * ratio * time)
        place += int(generator.uniform(0.4, 1.5) * SAMPLING_RATE)
    return sound


def _applause(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    sound = np.zeros(num_samples)
    for place in generator.integers(0, num_samples, size=max(1, 60 * num_samples // SAMPLING_RATE)):
        length = min(int(0.02 * SAMPLING_RATE), num_samples - place)
        clap = generator.standard_normal(length) * np.exp(-np.arange(length) / 60)
        sound[place : place + length] += clap * generator.uniform(0.2, 1.0)
    return sound


def _whistle(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    time = _times(num_samples)
    slow = np.sin(2 * np.pi * 0.7 * time + generator.uniform(0, 6))
    frequency = 1200 + 400 * slow + 30 * np.sin(2 * np.pi * 6 * time)
    return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLING_RATE) * (0.6 + 0.4 * np.sin(np.pi * time))


def _arpeggio(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Square waves, as of a video game."""
    sound, length, base = np.zeros(num_samples), int(0.15 * SAMPLING_RATE), generator.uniform(100, 400)
    for number, start in enumerate(range(0, num_samples, length)):
        time = _times(min(length, num_samples - start))
        frequency = base * 2 ** ((0, 4, 7, 12, 7, 4)[number % 6] / 12)
        sound[start : start + len(time)] = np.sign(np.sin(2 * np.pi * frequency * time)) * np.exp(-3 * time)
    return sound


def _sawtooth(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    time = _times(num_samples)
    return 2 * (generator.uniform(60, 200) * time * (1 + 0.01 * np.sin(2 * np.pi * 5 * time)) % 1) - 1


def _noise_bursts(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    gate = _times(num_samples) % generator.uniform(0.3, 1.0) < generator.uniform(0.05, 0.3)
    return generator.standard_normal(num_samples) * gate


def _modulated_tone(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Frequency modulation, as of a synthesizer, with a tremolo."""
    time = _times(num_samples)
    phase = generator.uniform(2, 8) * np.sin(2 * np.pi * generator.uniform(50, 300) * time)
    return np.sin(2 * np.pi * 300 * time + phase) * (0.5 + 0.5 * np.sin(2 * np.pi * generator.uniform(1, 5) * time))


def _dialling(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Keys of a telephone."""
    sound, length = np.zeros(num_samples), int(0.1 * SAMPLING_RATE)
    for start in range(0, num_samples, 2 * length):
        time = _times(min(length, num_samples - start))
        low, high = generator.choice([697, 770, 852, 941]), generator.choice([1209, 1336, 1477])
        sound[start : start + len(time)] = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    return sound


def _vinyl(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Hiss, hum and crackle."""
    crackle = (generator.uniform(size=num_samples) < 0.0005) * generator.uniform(-5, 5, num_samples)
    hum = 0.05 * np.sin(2 * np.pi * 60 * _times(num_samples))
    return 0.02 * generator.standard_normal(num_samples) + crackle + hum


def _fan(num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """Smoothed noise with the whirr of blades."""
    noise = np.convolve(generator.standard_normal(num_samples + 40), np.ones(41) / 41, mode="valid")[:num_samples]
    blades = 1 + 0.3 * np.sin(2 * np.pi * generator.uniform(8, 40) * _times(num_samples))
    return noise * blades


UNSEEN_KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    sound.__name__.removeprefix("_"): sound
    for sound in (
        *(_birds, _rain, _telephone_ring, _bells, _applause, _whistle, _arpeggio, _sawtooth, _noise_bursts),
        *(_modulated_tone, _dialling, _vinyl, _fan),
    )
}
"""Maps kinds of sound to `(num_samples, generator) -> (num_samples,)` float64, at any level."""
