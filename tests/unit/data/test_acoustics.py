# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Other microphones and rooms."""

import numpy as np
import pytest

from mu2slam_hf.data.acoustics import equalize, overdrive, reverberate
from mu2slam_hf.data.augmentation import WaveformAugmentationConfig, WaveformAugmenter
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.sound_features import fft_length

RATE = 16_000


def power(wave):
    return float(np.mean(np.square(wave, dtype=np.float64)))


def noise(seconds=2.0):
    return (0.1 * counter_generator(1).standard_normal(int(RATE * seconds))).astype(np.float32)


def test_transforms_have_lengths_of_powers_of_two():
    assert [fft_length(n) for n in (0, 1, 2, 3, 4, 5, 255, 256, 257)] == [2, 2, 2, 4, 4, 8, 256, 256, 512]


def test_the_gains_are_those_of_the_bands():
    """Three bands: 80 Hz, the geometric mean with 8000 Hz, which is 800 Hz, and 8000 Hz."""
    changed = equalize(noise(), [-12.0, 0.0, 12.0])
    assert changed.dtype == np.float32 and power(changed) == pytest.approx(power(noise()), rel=1e-4)
    ratio = np.abs(np.fft.rfft(changed)) / np.abs(np.fft.rfft(noise()))
    gains = {hertz: 20 * np.log10(np.median(ratio[2 * hertz - 20 : 2 * hertz + 20])) for hertz in (80, 800, 7900)}
    assert gains[800] - gains[80] == pytest.approx(12.0, abs=0.7)
    assert gains[7900] - gains[800] == pytest.approx(12.0, abs=0.7)
    np.testing.assert_allclose(equalize(noise(), [3.0, 3.0]), noise(), atol=1e-6)


def test_the_reflections_decay_by_60_db_in_the_time_given():
    click = np.zeros(RATE, dtype=np.float32)
    click[0] = 1.0
    heard = reverberate(click, 0.4, 0.0, counter_generator(2))
    direct, reflections = heard[0] ** 2, np.square(heard[1:], dtype=np.float64)
    assert 10 * np.log10(direct / reflections.sum()) == pytest.approx(0.0, abs=0.01)
    early, late = (reflections[int(t * RATE) : int((t + 0.05) * RATE)].mean() for t in (0.05, 0.25))
    assert 10 * np.log10(early / late) == pytest.approx(30.0, abs=2.0)
    assert np.abs(heard[int(0.41 * RATE) :]).max() < 1e-4
    assert reverberate(noise(), 0.2, 6.0, counter_generator(2)).shape == noise().shape


def test_peaks_above_the_limit_are_cut_off():
    """A sine with its peak 6.02 dB above the limit is cut off at half its height, at phases of 30 degrees and more."""
    phases = 2 * np.pi * np.arange(1200) / 1200
    sine = np.sin(phases).astype(np.float32)
    cut = overdrive(sine, 20 * np.log10(2))
    assert cut.dtype == np.float32 and power(cut) == pytest.approx(power(sine), rel=1e-5)
    flat = np.isclose(np.abs(cut), np.abs(cut).max(), rtol=1e-6)
    assert flat.mean() == pytest.approx(2 / 3, abs=0.01)
    below = ~flat & (np.abs(sine) > 1e-3)
    np.testing.assert_allclose(cut[below] / sine[below], np.abs(cut).max() / 0.5, rtol=1e-5)
    np.testing.assert_allclose(overdrive(sine, 0.0), sine, rtol=1e-6)
    assert overdrive(sine[:0], 6.0).shape == (0,)


@pytest.mark.parametrize("num_samples", [1, 2, 100])
def test_short_and_silent_waveforms(num_samples):
    for wave in (noise()[:num_samples], np.zeros(num_samples, dtype=np.float32)):
        room = reverberate(wave, 0.1, 0.0, counter_generator(3))
        for changed in (equalize(wave, [6.0, -6.0]), room, overdrive(wave, 12.0)):
            assert changed.shape == wave.shape and np.isfinite(changed).all()


def test_augmentation_uses_them_and_other_draws_do_not_change():
    key = DrawKey(epoch=1, step=0, example=0)
    off = WaveformAugmenter(WaveformAugmentationConfig(noise_prob=1.0))
    for name in ("equalize_prob", "reverb_prob", "overdrive_prob"):
        on = WaveformAugmenter(WaveformAugmentationConfig(**{name: 1.0}))
        changed = on(noise(), key, "a")
        assert not np.allclose(changed, noise()) and power(changed) == pytest.approx(power(noise()), rel=1e-4)
        assert np.array_equal(changed, on(noise(), key, "a")) and not np.array_equal(changed, on(noise(), key, "b"))
        if name == "overdrive_prob":  # comes after noise
            continue
        both = WaveformAugmenter(WaveformAugmentationConfig(**{name: 1.0}, noise_prob=1.0))
        added = both(noise(), key, "a") - changed
        assert power(added) == pytest.approx(power(off(noise(), key, "a") - noise()), rel=0.05)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"reverb_decay_seconds": (0.0, 0.3)}, "`reverb_decay_seconds` must be above 0"),
        ({"reverb_direct_db": (5, 1)}, r"`reverb_direct_db` must be \(lower, upper\)"),
        ({"equalize_db": -1}, "`equalize_db` must not be negative"),
        ({"equalize_prob": 1.5}, "equalize_prob"),
        ({"overdrive_db": (-3, 6)}, "`overdrive_db` must not be negative"),
        ({"overdrive_prob": -0.1}, "overdrive_prob"),
    ],
)
def test_faulty_settings(fields, message):
    with pytest.raises(ValueError, match=message):
        WaveformAugmentationConfig(**fields)
