# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Simulates another microphone, reverberation and clipping, for augmentation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.sound_features import fft_length

_LOWEST_HZ = 80.0
_FIRST_REFLECTION_SECONDS = 0.003


def equalize(waveform: FloatArray, gains_db: Sequence[float], sampling_rate: int = SAMPLING_RATE) -> FloatArray:
    """Change the spectrum as another microphone would; the power stays the same.

    Args:
        waveform: `(n,)` float32.
        gains_db: gains at frequencies with equal ratios from 80 Hz to the Nyquist frequency, in decibels; in between
            they are linear in the logarithm of the frequency.
        sampling_rate: of the waveform in Hz.
    """
    size = fft_length(len(waveform))
    frequencies = np.fft.rfftfreq(size, 1.0 / sampling_rate)
    centres = np.linspace(np.log(_LOWEST_HZ), np.log(sampling_rate / 2), len(gains_db))
    gains = np.interp(np.log(np.maximum(frequencies, _LOWEST_HZ)), centres, gains_db)
    changed = np.fft.irfft(np.fft.rfft(waveform, size) * 10.0 ** (gains / 20.0), size)[: len(waveform)]
    return _with_power_of(waveform, changed)


def reverberate(
    waveform: FloatArray,
    decay_seconds: float,
    direct_db: float,
    generator: np.random.Generator,
    sampling_rate: int = SAMPLING_RATE,
) -> FloatArray:
    """Add the reflections of a room: noise that decays exponentially; length and power stay the same.

    Args:
        waveform: `(n,)` float32.
        decay_seconds: time in which the reflections decay by 60 dB.
        direct_db: energy of the direct sound in relation to that of the reflections, in decibels.
        generator: for the reflections.
        sampling_rate: of the waveform in Hz.
    """
    times = np.arange(max(2, round(decay_seconds * sampling_rate))) / sampling_rate
    response = generator.standard_normal(len(times)) * 10.0 ** (-3.0 * times / decay_seconds)
    response[times < _FIRST_REFLECTION_SECONDS] = 0.0
    energy = float(np.sum(response**2))
    if energy > 0.0:
        response *= 10.0 ** (-direct_db / 20.0) / np.sqrt(energy)
    response[0] = 1.0
    size = fft_length(len(waveform) + len(response))
    changed = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)[: len(waveform)]
    return _with_power_of(waveform, changed)


def overdrive(waveform: FloatArray, excess_db: float) -> FloatArray:
    """Cut off the peaks, as a recorder does whose input level is too high; the power stays the same.

    Args:
        waveform: `(n,)` float32.
        excess_db: how far the highest peak exceeds the largest value that the recorder can store, in decibels, at
            least 0.
    """
    if len(waveform) == 0:
        return waveform
    limit = float(np.abs(waveform).max()) * 10.0 ** (-excess_db / 20.0)
    return _with_power_of(waveform, np.clip(waveform.astype(np.float64), -limit, limit))


def _with_power_of(waveform: FloatArray, changed: NDArray[np.float64]) -> FloatArray:
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    own = float(np.mean(np.square(changed)))
    return (changed * np.sqrt(power / own) if own > 0.0 else changed).astype(np.float32)
