# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Acoustic features that tell speech from silence, noise, tones and music, whatever the language.

Shapes: `n` samples, `F` frames (25 ms, every 10 ms), `A` active frames, `M` mel bands.
"""

from functools import lru_cache

import numpy as np

_HOP_SECONDS, _FRAME_SECONDS = 0.010, 0.025
# Telephone recordings have nothing above.
_BAND = (100.0, 3800.0)
_NUM_MELS = 26
_NUM_CEPSTRA = 6
# A frame is active if it is less than this below the loud ones.
_ACTIVE_DB = 25.0
# Pitches from 64 to 400 Hz are searched.
_PITCH_HZ = (64.0, 400.0)


def fft_length(num_samples: int) -> int:
    """The smallest power of two that is at least `num_samples` and 2; transforms of other lengths may be very slow."""
    return 1 << max(num_samples - 1, 1).bit_length()


def measure_sound(waveform: np.ndarray, sampling_rate: int) -> tuple[float, dict[str, float]]:
    """Level and features of a sound.

    The features do not depend on the level. They describe how the energy moves (speech rises and falls a few times per
    second), how the spectrum changes (slower than noise, faster than notes), its shape, and its pitch (which glides in
    speech, is constant in tones and is absent in noise).

    Args:
        waveform: `(n,)` float in [-1, 1].
        sampling_rate: Hz, at least 8000.

    Returns:
        the level of the loud frames in dB relative to full scale, from 100 to 3800 Hz (-120 for digital silence), and
        the features by name.
    """
    waveform = np.asarray(waveform, dtype=np.float64)
    peak = float(np.abs(waveform).max(initial=0.0))
    # Else the features of quiet sounds would depend on the smallest power that counts.
    frames, power = _spectra(waveform / peak if peak > 0 else waveform, sampling_rate)
    frequencies = np.fft.rfftfreq(2 * (power.shape[1] - 1), 1 / sampling_rate)
    band = (frequencies >= _BAND[0]) & (frequencies <= _BAND[1])
    mel = power @ _mel_bands(sampling_rate, power.shape[1]).T + 1e-12
    energy = 10 * np.log10(mel.sum(axis=1))
    level = float(np.percentile(energy, 95))
    energy = np.maximum(energy, level - 60)
    active = energy > level - _ACTIVE_DB
    # Only 60 dB count, so that the features of a sound do not depend on what is inaudible.
    mel = 10 * np.log10(np.maximum(mel, mel.max() * 1e-6))
    features = {
        **_energy_features(energy, level, active),
        **_modulation_features(energy),
        **_change_features(np.sqrt(power[:, band]), mel, active),
        **_shape_features(power[active][:, band], mel[active]),
        **_pitch_features(frames, active, sampling_rate),
        "log_seconds": float(np.log(max(len(waveform), 1) / sampling_rate)),
    }
    return (level + 20 * np.log10(peak) if peak > 0 else -120.0), features


def _spectra(waveform: np.ndarray, sampling_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of samples `(F, size)`, windowed, and their power spectra; a sound of full scale has about 0 dB."""
    size, hop = round(_FRAME_SECONDS * sampling_rate), round(_HOP_SECONDS * sampling_rate)
    if len(waveform) < size + 10 * hop:
        waveform = np.pad(waveform, (0, size + 10 * hop - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop] * np.hanning(size)
    num_bins = fft_length(size)
    return frames, np.abs(np.fft.rfft(frames, num_bins, axis=1)) ** 2 * (4.0 / size**2)


@lru_cache(maxsize=4)
def _mel_bands(sampling_rate: int, num_bins: int) -> np.ndarray:
    """Triangular bands `(M, num_bins)`."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in _BAND)
    edges = 700 * (10 ** (np.linspace(low, high, _NUM_MELS + 2) / 2595) - 1)
    bins = np.linspace(0, sampling_rate / 2, num_bins)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def _energy_features(energy: np.ndarray, level: float, active: np.ndarray) -> dict[str, float]:
    steps = np.abs(np.diff(energy))
    return {
        "active_share": float(active.mean()),
        "median_below_peak_db": level - float(np.percentile(energy, 50)),
        "floor_below_peak_db": level - float(np.percentile(energy, 10)),
        "median_step_db": float(np.percentile(steps, 50)),
        "large_step_db": float(np.percentile(steps, 95)),
        "largest_step_db": float(steps.max()),
    }


def _modulation_features(energy: np.ndarray) -> dict[str, float]:
    """Shares of the modulation of the amplitude: syllables, buzzing, and the strongest single rate."""
    amplitude = 10 ** ((energy - energy.max()) / 20)
    spectrum = np.abs(np.fft.rfft((amplitude - amplitude.mean()) * np.hanning(len(amplitude)))) ** 2
    rates = np.fft.rfftfreq(len(amplitude), _HOP_SECONDS)
    total = spectrum[rates > 0.5].sum() + 1e-9
    return {
        "syllable_modulation": float(spectrum[(rates >= 1.5) & (rates < 8)].sum() / total),
        "fast_modulation": float(spectrum[rates >= 10].sum() / total),
        "largest_modulation": float(spectrum[rates > 0.5].max(initial=0.0) / total),
    }


def _change_features(amplitudes: np.ndarray, mel: np.ndarray, active: np.ndarray) -> dict[str, float]:
    """Similarity of spectra 20 and 60 ms apart (cosine), and their differences (dB), as percentiles."""
    features = {}
    for lag in (2, 6):
        pairs = active[lag:] & active[:-lag]
        similarity, difference = np.ones(1), np.zeros(1)
        if pairs.any():
            later, earlier = amplitudes[lag:][pairs], amplitudes[:-lag][pairs]
            norms = np.linalg.norm(later, axis=1) * np.linalg.norm(earlier, axis=1)
            similarity = (later * earlier).sum(axis=1) / np.maximum(norms, 1e-20)
            difference = np.abs(mel[lag:][pairs] - mel[:-lag][pairs]).mean(axis=1)
        for percentile in (10, 50, 90):
            features[f"similarity_{10 * lag}ms_p{percentile}"] = float(np.percentile(similarity, percentile))
            features[f"difference_{10 * lag}ms_p{percentile}"] = float(np.percentile(difference, percentile))
    return features


def _shape_features(power: np.ndarray, mel: np.ndarray) -> dict[str, float]:
    """Entropy of the spectrum (high in noise, low in tones), and its cepstrum, over active frames."""
    shares = power / np.maximum(power.sum(axis=1, keepdims=True), 1e-20)
    entropy = -(shares * np.log(shares + 1e-12)).sum(axis=1)
    features = {
        "entropy_mean": float(entropy.mean()),
        "entropy_deviation": float(entropy.std()),
        "entropy_p10": float(np.percentile(entropy, 10)),
        "entropy_p90": float(np.percentile(entropy, 90)),
    }
    orders, indices = np.arange(1, _NUM_CEPSTRA + 1)[:, None], (np.arange(_NUM_MELS) + 0.5)[None]
    cepstra = mel @ (np.cos(np.pi * orders * indices / _NUM_MELS) * np.sqrt(2 / _NUM_MELS)).T
    for order in range(_NUM_CEPSTRA):
        features[f"cepstrum_{order + 1}_mean"] = float(cepstra[:, order].mean())
        features[f"cepstrum_{order + 1}_deviation"] = float(cepstra[:, order].std())
    return features


def _pitch_features(frames: np.ndarray, active: np.ndarray, sampling_rate: int) -> dict[str, float]:
    """Periodicity (normalised autocorrelation, 0 to 1) of active frames, and steps of the pitch in semitones."""
    size = frames.shape[1]
    num_bins = fft_length(2 * size)
    first, last = round(sampling_rate / _PITCH_HZ[1]), min(round(sampling_rate / _PITCH_HZ[0]), round(0.63 * size))
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames[active], num_bins, axis=1)) ** 2, axis=1)[:, : last + 1]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), num_bins)) ** 2)[: last + 1]
    # The window itself is taken out: a periodic sound has 1 at its period.
    correlation = correlation / np.maximum(correlation[:, :1], 1e-20) / (window / window[0])
    searched = correlation[:, first:]
    periodicity, period = searched.max(axis=1), searched.argmax(axis=1) + first
    pitch, voiced = np.zeros(len(frames)), np.zeros(len(frames), dtype=bool)
    pitch[active] = 12 * np.log2(sampling_rate / period)
    voiced[active] = periodicity > 0.6
    both = voiced[1:] & voiced[:-1]
    steps = np.abs(np.diff(pitch))[both] if both.any() else np.zeros(1)
    return {
        "periodicity_p10": float(np.percentile(periodicity, 10)),
        "periodicity_p50": float(np.percentile(periodicity, 50)),
        "periodicity_p90": float(np.percentile(periodicity, 90)),
        "periodicity_deviation": float(periodicity.std()),
        "pitch_step_p25": float(min(np.percentile(steps, 25), 12.0)),
        "pitch_step_p50": float(min(np.percentile(steps, 50), 12.0)),
        "pitch_jumps": float((steps > 2).mean()),
    }
