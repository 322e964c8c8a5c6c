# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from mu2slam_hf.inference.pauses import PauseSettings, compute_levels, find_cuts, find_stretches

RATE = 16_000
SETTINGS = PauseSettings()


def speech_levels(num_frames, seed=0, peak=-20.0):
    """Levels that rise and fall by 12 dB four times per second, with some randomness."""
    rng = np.random.default_rng(seed)
    return peak - 6 + 6 * np.sin(2 * np.pi * 0.04 * np.arange(num_frames)) + rng.normal(0, 1, num_frames)


def test_level_of_a_tone_and_of_silence():
    time = np.arange(RATE) / RATE
    for amplitude in (1.0, 0.01):
        levels = compute_levels(amplitude * np.sin(2 * np.pi * 1000 * time), RATE)
        assert levels.shape == (100,)
        # The power of a sine is half of its squared amplitude; the frame at either end is partly outside.
        assert levels[1:-1] == pytest.approx(20 * np.log10(amplitude) - 3.01, abs=0.05)
    assert compute_levels(np.zeros(RATE), RATE) == pytest.approx(-120)
    # Hum below 100 Hz does not count.
    hum = compute_levels(np.sin(2 * np.pi * 50 * time), RATE)
    assert hum[1:-1].max() < -9


@pytest.mark.parametrize("num_samples", [1, 2, 159, 160, 161, 1000])
def test_every_sample_is_in_a_frame(num_samples):
    levels = compute_levels(np.ones(num_samples), RATE)
    assert levels.shape == (-(-num_samples // 160),) and np.isfinite(levels).all()


def test_levels_do_not_depend_on_pieces():
    waveform = np.random.default_rng(0).standard_normal(6100 * 160)
    whole = compute_levels(waveform, RATE)
    assert np.allclose(whole[5900:6090], compute_levels(waveform[5800 * 160 :], RATE)[100:290])


@pytest.mark.parametrize("num_frames", [0, 1, 2, 3, 5, 20, 30, 31, 32, 99, 100, 101])
@pytest.mark.parametrize("kind", ["silence", "speech", "steady"])
def test_tiny_recordings(num_frames, kind):
    levels = {"silence": np.full(num_frames, -120.0), "steady": np.full(num_frames, -20.0)}.get(kind)
    levels = speech_levels(num_frames) if levels is None else levels
    stretches = find_stretches(levels, SETTINGS)
    check_order(stretches, num_frames)
    assert kind != "silence" or stretches == []


def check_order(stretches, num_frames):
    edges = [edge for stretch in stretches for edge in stretch]
    assert edges == sorted(edges) and all(0 <= edge <= num_frames for edge in edges)
    assert all(start < stop for start, stop in stretches)


@pytest.mark.parametrize("seed", range(20))
def test_order_and_range_of_random_levels(seed):
    rng = np.random.default_rng(seed)
    pieces = [
        rng.choice([-120, -65, -50, -30, -15]) + rng.uniform(0, 6) * rng.standard_normal(rng.integers(1, 400))
        for _ in range(rng.integers(1, 40))
    ]
    levels = np.concatenate(pieces)
    check_order(find_stretches(levels, SETTINGS), len(levels))


def test_a_pause_is_found_where_it_is():
    for gap in (20, 30, 60, 80, 200):
        silent = np.full(gap, -120.0)
        stretches = find_stretches(np.concatenate([speech_levels(300), silent, speech_levels(300, 1)]), SETTINGS)
        assert len(stretches) == (1 if gap <= 30 else 2), gap
        if gap >= 60:
            # Digital silence is kept for no longer than the padding of noise.
            assert stretches[0][1] == pytest.approx(300, abs=6) and stretches[1][0] == pytest.approx(300 + gap, abs=6)


def test_the_level_of_the_recording_does_not_matter():
    background = -75 + np.random.default_rng(2).normal(0, 0.5, 150)
    levels = np.concatenate([background, speech_levels(400), background, speech_levels(200, 1, peak=-26), background])
    expected = find_stretches(levels, SETTINGS)
    assert len(expected) == 2
    for gain in (-12, -6, 6, 12):
        assert find_stretches(levels + gain, SETTINGS) == expected


def test_a_quiet_speaker_in_the_pause_of_a_loud_one_is_found():
    silent = np.full(300, -95.0) + np.random.default_rng(0).normal(0, 0.3, 300)
    quiet = speech_levels(300, 1, peak=-52)
    stretches = find_stretches(np.concatenate([speech_levels(600), silent, quiet, silent]), SETTINGS)
    assert any(start <= 910 and stop >= 1190 and start >= 650 for start, stop in stretches), stretches


def test_padding_of_close_stretches_does_not_overlap():
    settings = PauseSettings(min_pause_seconds=0.1, padding_seconds=0.2)
    quiet = np.full(24, -80.0) + np.random.default_rng(1).normal(0, 2, 24)
    levels = np.concatenate([speech_levels(200), quiet, speech_levels(200, 1)])
    stretches = find_stretches(levels, settings)
    check_order(stretches, len(levels))
    assert len(stretches) >= 2


@pytest.mark.parametrize("num_frames", [1, 10, 11, 19, 20, 21, 35, 100, 1234])
@pytest.mark.parametrize("max_frames", [1, 2, 10])
def test_no_piece_is_too_long(num_frames, max_frames):
    levels = np.random.default_rng(num_frames).normal(-30, 10, num_frames)
    cuts = find_cuts(levels, max_frames)
    edges = [0, *cuts, num_frames]
    lengths = np.diff(edges)
    assert (lengths > 0).all() and (lengths <= max_frames).all()
    assert bool(cuts) == (num_frames > max_frames)
    # At least a quarter of what is allowed, so that no piece is tiny.
    assert not cuts or (lengths >= max_frames // 4).all()


def test_cuts_are_in_the_quietest_places():
    levels = np.full(3000, -20.0)
    for place in (900, 1500):
        levels[place - 10 : place + 11] = -50
    cuts = find_cuts(levels, 1200)
    assert all(any(abs(cut - place) <= 11 for cut in cuts) for place in (900, 1500)), cuts


def test_blanks_decide_where_levels_do_not():
    blanks = np.zeros(1400)
    blanks[595:605] = 1.0
    assert find_cuts(np.full(1400, -20.0), 1200, blanks) == [pytest.approx(600, abs=2)]
