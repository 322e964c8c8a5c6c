# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import copy
import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from mu2slam_hf.data.augmentation import (
    RunTimeStrength,
    SpecAugment,
    SpecAugmentConfig,
    WaveformAugmentationConfig,
    WaveformAugmenter,
    add_noise,
    change_speed,
    limit_band,
)
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.spectrograms import reweight_pauses, warp_frequencies

RATE = 16_000


def tone(hertz, seconds=1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE).astype(np.float32)


def power(wave):
    return float(np.mean(np.square(wave, dtype=np.float64)))


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_length_and_pitch(factor):
    faster = change_speed(tone(440), factor)
    assert len(faster) == pytest.approx(RATE / factor, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(faster))) * RATE / len(faster)
    assert peak == pytest.approx(440 * factor, rel=0.01)
    assert change_speed(tone(440), 1.0) is not None and len(change_speed(tone(440)[:1], 2.0)) == 1


@pytest.mark.parametrize("num_samples", [1, 2, 5001, 16_000])
def test_band_limit_keeps_what_is_below_and_removes_what_is_above(num_samples):
    low, high = tone(1000)[:num_samples], tone(6000)[:num_samples]
    limited = limit_band(low + high, 4000.0)
    assert limited.shape == low.shape and limited.dtype == np.float32
    if num_samples > 1000:
        middle = slice(num_samples // 4, 3 * num_samples // 4)
        assert power((limited - low)[middle]) < 1e-3 * power(low[middle])


@pytest.mark.parametrize("pink", [False, True])
def test_noise_has_the_ratio_asked_for(pink):
    clean = tone(440)
    noise = add_noise(clean, 12.0, counter_generator(0), pink=pink) - clean
    assert 10 * np.log10(power(clean) / power(noise)) == pytest.approx(12.0, abs=0.01)
    spectrum = np.square(np.abs(np.fft.rfft(noise)))
    ratio = spectrum[100:200].mean() / spectrum[4000:8000].mean()
    assert (ratio > 20) if pink else (0.5 < ratio < 2)
    silence = np.zeros(100, dtype=np.float32)
    assert (add_noise(silence, 10.0, counter_generator(0)) == 0).all()


def test_everything_is_off_by_default():
    augmenter = WaveformAugmenter(WaveformAugmentationConfig())
    wave = tone(440)
    assert augmenter(wave, DrawKey(0), "a") is wave
    assert augmenter.speed_factor(DrawKey(0), "a") == 1.0
    assert augmenter.partner(DrawKey(0), "a", 5) is None


def test_draws_are_the_same_in_a_copy_and_different_between_epochs():
    config = WaveformAugmentationConfig(
        speed_factors=[0.9, 1.0, 1.1], gain_prob=0.5, noise_prob=0.5, band_limit_prob=0.5, concatenate_prob=0.5
    )
    one = WaveformAugmenter(config, seed=3)
    two = pickle.loads(pickle.dumps(copy.deepcopy(one)))
    wave, different = tone(440, 0.2), 0
    for number in range(30):
        key = DrawKey(0, epoch=number)
        assert one.speed_factor(key, "a") == two.speed_factor(key, "a")
        assert one.partner(key, "a", 9) == two.partner(key, "a", 9)
        assert (one(wave, key, "a") == two(wave, key, "a")).all()
        different += not np.array_equal(one(wave, key, "a"), one(wave, key._replace(epoch=100 + number), "a"))
    assert different > 20


def test_probabilities_and_bounds_hold():
    config = WaveformAugmentationConfig(
        speed_factors=(0.9, 1.0, 1.1), gain_prob=0.25, gain_db=(-6.0, 6.0), concatenate_prob=0.4
    )
    augmenter, wave = WaveformAugmenter(config), tone(440, 0.05)
    speeds, gains, gaps = Counter(), [], []
    for number in range(3000):
        key = DrawKey(0, number)
        speeds[augmenter.speed_factor(key, "a")] += 1
        gains.append(np.abs(augmenter(wave, key, "a")).max() / np.abs(wave).max())
        chosen = augmenter.partner(key, "a", 4)
        if chosen is not None:
            assert 0 <= chosen[0] < 4
            gaps.append(chosen[1])
    assert all(abs(speeds[factor] / 3000 - 1 / 3) < 0.03 for factor in (0.9, 1.0, 1.1))
    assert abs(np.mean(np.array(gains) != 1.0) - 0.25) < 0.03
    assert 10 ** (-6 / 20) - 1e-3 <= min(gains) and max(gains) <= 10 ** (6 / 20) + 1e-3
    assert abs(len(gaps) / 3000 - 0.4) < 0.03 and 0.1 <= min(gaps) and max(gaps) <= 0.4


def test_curricula():
    config = WaveformAugmentationConfig(
        speed_factors=[1.1],
        speed_from_epoch=2,
        gain_prob=1.0,
        from_step=10,
        concatenate_prob=1.0,
        concatenate_from_epoch=1,
    )
    augmenter, wave = WaveformAugmenter(config), tone(440, 0.05)
    assert [augmenter.speed_factor(DrawKey(0, epoch), "a") for epoch in range(3)] == [1.0, 1.0, 1.1]
    assert [augmenter.partner(DrawKey(0, epoch), "a", 1) is None for epoch in range(2)] == [True, False]
    assert [np.array_equal(augmenter(wave, DrawKey(0, 0, 0, step), "a"), wave) for step in (9, 10)] == [True, False]
    augmenter.strength.value = 0.0
    assert np.array_equal(augmenter(wave, DrawKey(0, 0, 0, 10), "a"), wave)

    masks = SpecAugment(SpecAugmentConfig(from_step=4, ramp_steps=4))
    assert [masks.current_strength(step) for step in (0, 3, 4, 5, 7, 100)] == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    masks.strength.value = 0.5
    assert masks.current_strength(100) == 0.5
    with pytest.raises(ValueError, match="strength"):
        RunTimeStrength().value = 2.0


class StrengthReader(torch.utils.data.Dataset):
    def __init__(self):
        self.strength = RunTimeStrength()

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.strength.value


def test_strength_set_in_the_main_process_holds_in_running_workers():
    dataset = StrengthReader()
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, persistent_workers=True, collate_fn=list)
    seen = [list(loader)]
    dataset.strength.value = 0.25
    assert [*seen, list(loader)] == [[[1.0], [1.0]], [[0.25], [0.25]]]


def test_spec_augment_masks_only_real_frames_and_counts_are_bounded():
    config = SpecAugmentConfig(
        num_time_masks=2,
        max_time_mask_frames=10,
        max_time_mask_share=0.5,
        num_frequency_masks=1,
        max_frequency_mask_bins=8,
    )
    masks = SpecAugment(config)
    features = torch.ones(3, 50, 80)
    lengths, keys, ids = [50, 7, 1], [DrawKey(0)] * 3, ["a", "b", "c"]
    masked = masks(features, lengths, keys, ids)
    assert (features == 1).all(), "the input must stay as it is"
    for row, length in enumerate(lengths):
        assert (masked[row, length:] == 1).all(), "padding is not masked"
        whole_frames = (masked[row, :length] == 0).all(dim=1).sum()
        whole_bins = (masked[row, :length] == 0).all(dim=0).sum()
        assert whole_frames <= 2 * min(10, length // 2) and (whole_bins <= 8 or whole_frames == length)
    assert torch.equal(masked, masks(features, lengths, keys, ids))
    alone = masks(features[1:2, :7], [7], keys[1:2], ids[1:2])
    assert torch.equal(alone[0], masked[1, :7]), "batch and padding must not matter"


WIDE_MASKS = SpecAugmentConfig(max_time_mask_frames=20, max_frequency_mask_bins=20, max_time_mask_share=0.5)


def test_stacked_frames_are_masked_as_if_they_stood_side_by_side():
    masks, keys = SpecAugment(WIDE_MASKS), [DrawKey(0), DrawKey(1)]
    frames = torch.ones(2, 60, 80)
    expected = masks(frames, [60, 40], keys, ["a", "b"])
    stacked = masks(frames.reshape(2, 30, 160), [30, 20], keys, ["a", "b"], num_stacked_frames=2)
    assert torch.equal(stacked.reshape(2, 60, 80), expected)
    assert (expected == 0).any()


def test_waveforms_are_masked_in_time_alone():
    masks, keys = SpecAugment(WIDE_MASKS), [DrawKey(number) for number in range(40)]
    waves = torch.ones(40, 16080)
    masked = masks(waves, [16010] * 40, keys, [str(number) for number in range(40)])
    silent = (masked == 0).float().mean(dim=1)
    assert 0 < silent.max() <= 2 * 20 * 160 / 16080 and silent.mean() > 0.02
    assert (masked[:, 16010:] == 1).all() and (waves == 1).all()
    edges = masked[0].diff().nonzero().flatten() + 1
    assert all(int(edge) % 160 == 0 or int(edge) == 16010 for edge in edges)


def test_spec_augment_widths_are_uniform():
    config = SpecAugmentConfig(
        num_time_masks=1, max_time_mask_frames=4, max_time_mask_share=1.0, num_frequency_masks=0
    )
    masks = SpecAugment(config)
    widths, positions = Counter(), np.zeros(10)
    for number in range(5000):
        time_mask, frequency_mask = masks.masks(10, 80, DrawKey(0, number), "a")
        widths[int(time_mask.sum())] += 1
        positions += time_mask
        assert not frequency_mask.any()
    assert set(widths) == {0, 1, 2, 3, 4}
    assert all(abs(count / 5000 - 0.2) < 0.03 for count in widths.values())
    assert positions.min() > 0
    off = SpecAugment(SpecAugmentConfig(prob=0.0)).masks(10, 80, DrawKey(0), "a")
    assert not off[0].any() and not off[1].any()


def test_warps_are_drawn_within_their_bounds_and_leave_padding_alone():
    only_warps = SpecAugmentConfig(num_time_masks=0, num_frequency_masks=0, warp_prob=0.5, max_warp=0.2, ramp_steps=4)
    warps = SpecAugment(only_warps)
    factors = np.array([warps.warp_factor(DrawKey(0, number), "a") for number in range(4000)])
    drawn = factors[factors != 1.0]
    assert abs(len(drawn) / 4000 - 0.5) < 0.03
    assert 0.8 <= drawn.min() < 0.81 and 1.19 < drawn.max() <= 1.2 and abs(drawn.mean() - 1.0) < 0.01
    assert abs(warps.warp_factor(DrawKey(0, 3), "a", 0.5) - 1) == pytest.approx(abs(factors[3] - 1) / 2)

    always = SpecAugment(SpecAugmentConfig(num_time_masks=0, num_frequency_masks=0, warp_prob=1.0))
    features, keys = torch.randn(2, 60, 80), [DrawKey(0), DrawKey(1)]
    warped = always(features, [60, 40], keys, ["a", "b"])
    for row, length in enumerate((60, 40)):
        factor = always.warp_factor(keys[row], "ab"[row])
        torch.testing.assert_close(warped[row, :length], warp_frequencies(features[row, :length], factor))
    assert torch.equal(warped[1, 40:], features[1, 40:])
    stacked = always(features.reshape(2, 30, 160), [30, 20], keys, ["a", "b"], num_stacked_frames=2)
    assert torch.equal(stacked.reshape(2, 60, 80), warped)


def test_pause_factors_are_log_uniform_and_leave_padding_alone():
    only_pauses = SpecAugmentConfig(num_time_masks=0, num_frequency_masks=0, pause_prob=0.5, ramp_steps=4)
    pauses = SpecAugment(only_pauses)
    factors = np.array([pauses.pause_factor(DrawKey(0, number), "a") for number in range(4000)])
    drawn = np.log(factors[factors != 1.0]) / np.log(4.0)
    assert abs(len(drawn) / 4000 - 0.5) < 0.03
    assert -1.0 <= drawn.min() < -0.97 and 0.97 < drawn.max() <= 1.0 and abs(drawn.mean()) < 0.04
    assert pauses.pause_factor(DrawKey(0, 3), "a", 0.5) == pytest.approx(factors[3] ** 0.5)

    always = SpecAugment(SpecAugmentConfig(num_time_masks=0, num_frequency_masks=0, pause_prob=1.0))
    features, key = torch.randn(1, 60, 80), DrawKey(1)
    changed = always(features, [40], [key], ["b"])
    expected = reweight_pauses(features[0, :40], always.pause_factor(key, "b"))
    torch.testing.assert_close(changed[0, :40], expected)
    assert torch.equal(changed[0, 40:], features[0, 40:])


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (WaveformAugmentationConfig, {"noise_prob": 1.5}, "noise_prob"),
        (WaveformAugmentationConfig, {"gain_db": (3.0, -3.0)}, "gain_db"),
        (WaveformAugmentationConfig, {"speed_factors": (0.0,)}, "speed_factors"),
        (SpecAugmentConfig, {"pause_prob": -0.1}, "pause_prob"),
        (SpecAugmentConfig, {"max_pause_factor": 0.5}, "max_pause_factor"),
        (WaveformAugmentationConfig, {"speed_factors": ()}, "speed_factors"),
        (WaveformAugmentationConfig, {"band_limit_hz": 9000.0}, "band_limit_hz"),
        (WaveformAugmentationConfig, {"concatenate_gap_seconds": (-1.0, 1.0)}, "concatenate_gap_seconds"),
        (WaveformAugmentationConfig, {"noise_prob": "much"}, "noise_prob"),
        (SpecAugmentConfig, {"num_time_masks": -1}, "num_time_masks"),
        (SpecAugmentConfig, {"max_time_mask_share": 2.0}, "max_time_mask_share"),
        (SpecAugmentConfig, {"warp_prob": -0.1}, "warp_prob"),
        (SpecAugmentConfig, {"max_warp": 0.6}, "max_warp"),
    ],
)
def test_faulty_configurations(config, fields, message):
    with pytest.raises(Exception, match=message):
        config(**fields)
