# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What must hold for every kind of sound without speech, those of the package and those of the laboratory."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from mu2slam_hf.data.non_speech import generate_non_speech
from mu2slam_hf.data.sound_features import measure_sound

RATE = 16_000


def check_levels_and_lengths(kinds: Mapping[str, Callable]) -> None:
    """Clips of all kinds in turn have the levels and lengths that are stated."""
    clips = list(generate_non_speech(3 * len(kinds), seed=3, kinds=kinds))
    assert [clip.kind for clip in clips] == 3 * list(kinds)
    for clip in clips:
        assert clip.waveform.dtype == np.float32 and clip.waveform.ndim == 1
        assert 0.5 * RATE <= len(clip.waveform) <= 12 * RATE
        assert np.abs(clip.waveform).max() <= 1.0
        if clip.kind == "silence":
            assert clip.level_dbfs == -np.inf and not clip.waveform.any()
            continue
        level = 10 * np.log10(np.mean(clip.waveform.astype(np.float64) ** 2))
        assert clip.level_dbfs == pytest.approx(level, abs=1e-3)
        assert clip.level_dbfs <= -12 + 1e-3
        # Below what is drawn only if the peak is at full scale.
        assert clip.level_dbfs >= -60 - 1e-3 or np.abs(clip.waveform).max() > 0.999


def check_audible_at_every_length(sound: Callable, *, silent: bool = False) -> None:
    """A kind of sound has finite samples of every length, which are not all 0."""
    for seed, num_samples in enumerate((1000, 8000, 24_001, 80_000)):
        samples = sound(num_samples, np.random.default_rng(seed))
        assert samples.shape == (num_samples,) and np.isfinite(samples).all()
        assert samples.any() != silent


def check_features_do_not_depend_on_gain(sound: Callable) -> None:
    """Features of a kind of sound are finite, and those but the level are the same at every level."""
    samples = make_sound(sound)
    level, features = measure_sound(samples, RATE)
    assert np.isfinite(level) and np.isfinite(feature_values(features)).all()
    for gain_db in (-3, -20, -40, -70):
        quiet_level, quiet = measure_sound(samples * 10 ** (gain_db / 20), RATE)
        assert feature_values(quiet) == pytest.approx(feature_values(features), abs=1e-6)
        assert quiet_level == pytest.approx(level + gain_db if samples.any() else -120)


def make_sound(sound: Callable, num_samples: int = 2 * RATE) -> np.ndarray:
    """Samples with a peak of 1."""
    samples = sound(num_samples, np.random.default_rng(0))
    peak = np.abs(samples).max()
    return samples / peak if peak else samples


def feature_values(features: Mapping[str, float]) -> np.ndarray:
    """Values in the order of their names."""
    return np.array([features[name] for name in sorted(features)])
