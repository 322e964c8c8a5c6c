# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from mu2slam_hf.inference.windows import RecordingEnd, Window, cut_windows

RATE = 1000  # windows are independent of the rate; few samples keep the tests fast
OVERLAP = 1.0


def syllables(seconds, rng, level=0.3):
    """A sound that rises and falls four times per second without a pause, as speech does."""
    time = np.arange(round(seconds * RATE)) / RATE
    envelope = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time + rng.uniform(0, 6))
    return (level * envelope * rng.standard_normal(len(time))).astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def draw_recording(seed):
    """Bursts and pauses of random lengths, and the samples that sound."""
    rng = np.random.default_rng(seed)
    parts, sounding = [], []
    for _ in range(rng.integers(3, 30)):
        pause, burst = rng.choice([0.0, 0.3, 0.7, 1.5, 8.0, 70.0], p=[0.1, 0.2, 0.3, 0.2, 0.15, 0.05]), 0.3
        burst = float(np.exp(rng.uniform(np.log(0.3), np.log(60.0))))
        parts += [silence(pause), syllables(burst, rng, level=float(rng.uniform(0.1, 0.3)))]
        sounding += [np.zeros(len(parts[-2]), bool), np.ones(len(parts[-1]), bool)]
    return np.concatenate(parts), np.concatenate(sounding)


def blocks_of(samples, size):
    samples = samples if samples.ndim == 2 else samples[:, None]
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def cut(samples, max_seconds=15.0, size=30 * RATE, **options):
    """The windows, after the checks that hold for all recordings."""
    *windows, end = cut_windows(blocks_of(samples, size), RATE, max_seconds, **options)
    assert isinstance(end, RecordingEnd) and end.num_samples == len(samples)
    return windows


def core(window: Window) -> tuple[int, int]:
    return window.start_sample + window.core_start, window.start_sample + window.core_stop


def check_windows(windows, samples, max_seconds):
    """What holds for the windows of one channel of any recording."""
    last_stop = 0
    for window in windows:
        start, stop = core(window)
        assert last_stop <= start < stop <= len(samples), "cores are disjoint, in order and inside the recording"
        assert stop - start <= max_seconds * RATE
        assert 0 <= window.core_start <= OVERLAP * RATE
        assert 0 <= len(window.waveform) - window.core_stop <= OVERLAP * RATE
        heard = samples[window.start_sample : window.start_sample + len(window.waveform)]
        assert np.array_equal(window.waveform, heard)
        # Only a window that continues another one hears what was before; the cut is where the other one ended.
        assert window.joins_previous or window.core_start == 0
        if window.joins_previous:
            assert start == last_stop
        last_stop = stop


@pytest.mark.parametrize("max_seconds", [1.0, 4.0, 15.0, 40.0])
@pytest.mark.parametrize("seed", range(6))
def test_windows_cover_all_sound_once(seed, max_seconds):
    samples, sounding = draw_recording(seed)
    windows = cut(samples, max_seconds)
    check_windows(windows, samples, max_seconds)
    covered = np.zeros(len(samples), bool)
    for window in windows:
        covered[slice(*core(window))] = True
    # A frame of 10 ms at an edge may be attributed to the pause.
    missing = sounding & ~covered
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], missing, [0]]).astype(int))))[::2]
    assert runs.max(initial=0) <= 0.05 * RATE
    # Long pauses are not read: at most the padding at either end.
    assert covered.sum() <= sounding.sum() + 2 * 0.6 * RATE * (np.diff(sounding.astype(int)) == 1).sum() + RATE


@pytest.mark.parametrize("seed", [*range(6), 35, 128, 140])
@pytest.mark.parametrize("max_seconds", [3.0, 15.0])
def test_pauses_that_are_almost_long_enough(seed, max_seconds):
    """With more context, a pause may be found that was not one when the sound before it was cut."""
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < 90 * RATE:
        parts.append(syllables(float(rng.uniform(0.1, 2.5)), rng, level=float(10 ** rng.uniform(-2.3, -0.5))))
        gap = int(float(rng.uniform(0.3, 0.6)) * RATE)
        parts.append((10 ** rng.uniform(-4, -2.5) * rng.standard_normal(gap)).astype(np.float32))
    samples = np.concatenate(parts)
    check_windows(cut(samples, max_seconds), samples, max_seconds)


@pytest.mark.parametrize("size", [7, 999, 10_000, 10**9])
def test_windows_do_not_depend_on_blocks(size):
    samples, _ = draw_recording(3)
    expected, windows = cut(samples), cut(samples, size=size)
    assert [core(window) for window in windows] == [core(window) for window in expected]
    assert all(np.array_equal(one.waveform, two.waveform) for one, two in zip(windows, expected, strict=True))


def test_a_recording_that_is_short_enough_is_one_window():
    samples = np.concatenate([silence(3), syllables(2, np.random.default_rng(0)), silence(3)])
    (window,) = cut(samples, max_seconds=8.0)
    assert core(window) == (0, 8 * RATE) and not window.joins_previous and np.array_equal(window.waveform, samples)
    (window,) = cut(samples, max_seconds=7.9)
    assert 2.7 * RATE <= core(window)[0] <= 3 * RATE and 5 * RATE <= core(window)[1] <= 5.3 * RATE


def test_speech_without_pauses_is_cut_with_overlaps():
    samples = syllables(130.0, np.random.default_rng(0))
    windows = cut(samples)
    check_windows(windows, samples, 15.0)
    assert core(windows[0])[0] <= 0.05 * RATE and core(windows[-1])[1] >= 0.999 * len(samples)
    assert not windows[0].joins_previous and all(window.joins_previous for window in windows[1:])
    for before, after in zip(windows[:-1], windows[1:], strict=True):
        # Both hear a second around the cut.
        assert len(before.waveform) - before.core_stop == after.core_start == OVERLAP * RATE


def test_a_pause_at_the_border_of_a_buffer():
    # Buffers have 60 s. Sound ends just before, at or after the border.
    rng = np.random.default_rng(0)
    for seconds in (58.6, 59.2, 59.5, 59.8, 60.0, 60.1, 60.7):
        samples = np.concatenate([syllables(seconds, rng), silence(0.8), syllables(20, rng)])
        windows = cut(samples)
        check_windows(windows, samples, 15.0)
        starts = [core(window)[0] / RATE for window in windows if not window.joins_previous]
        assert len(starts) == 2 and starts[1] == pytest.approx(seconds + 0.7, abs=0.15), seconds


def test_silence_has_no_windows():
    assert cut(silence(3600)) == []
    assert cut(silence(16)) == []


def test_noise_is_read_in_windows():
    noise = (0.05 * np.random.default_rng(0).standard_normal(100 * RATE)).astype(np.float32)
    windows = cut(noise)
    check_windows(windows, noise, 15.0)
    assert core(windows[0])[0] <= 0.05 * RATE and core(windows[-1])[1] >= 0.999 * len(noise)


def test_cuts_are_where_ctc_is_sure_of_a_blank():
    samples = (0.1 * np.sin(2 * np.pi * 200 * np.arange(20 * RATE) / RATE)).astype(np.float32)
    asked = []

    def blank_posteriors(waveform):
        asked.append(len(waveform))
        posteriors = np.full(len(waveform) // (RATE // 25), 0.1)
        posteriors[8 * 25 - 5 : 8 * 25 + 5] = 0.99
        return posteriors

    windows = cut(samples, blank_posteriors=blank_posteriors)
    assert asked == [len(samples)]
    assert core(windows[0])[1] == pytest.approx(core(windows[0])[0] + 8 * RATE, abs=0.2 * RATE)
    check_windows(windows, samples, 15.0)


def test_channels_are_cut_separately():
    rng = np.random.default_rng(0)
    left = np.concatenate([syllables(5, rng), silence(20), syllables(30, rng), silence(15)])
    right = np.concatenate([silence(6), syllables(10, rng), silence(54)])
    windows = cut(np.stack([left, right], axis=1))
    for channel, samples in enumerate((left, right)):
        own = [window for window in windows if window.channel == channel]
        check_windows(own, samples, 15.0)
        alone = cut(samples)
        assert [core(window) for window in own] == [core(window) for window in alone]
        assert all(window.channel is None for window in alone)
    assert [window.start_sample for window in windows] == sorted(window.start_sample for window in windows)


def test_memory_does_not_grow_with_the_recording():
    """Half an hour, of which at most a few buffers are alive at once, whatever it holds."""
    rng = np.random.default_rng(0)
    sound = {"speech": syllables(30, rng), "silence": silence(30), "pauses": np.tile(syllables(0.4, rng), 75)}
    sound["pauses"].reshape(-1, 400)[::3] = 0
    for samples in sound.values():
        longest = 0
        for window in cut_windows((samples[:, None].copy() for _ in range(60)), RATE, 15.0):
            if isinstance(window, Window):
                assert window.waveform.base is None, "a view would keep the buffer alive"
                longest = max(longest, len(window.waveform))
        assert longest <= 17 * RATE


def test_progress_counts_every_second_once():
    seconds = []
    cut(silence(200), progress=seconds.append)
    assert sum(seconds) == pytest.approx(200)


def test_errors_of_the_source_are_raised_after_the_windows_before_them():
    rng = np.random.default_rng(0)

    def blocks():
        yield np.concatenate([syllables(5, rng), silence(65)])[:, None]
        raise ValueError("truncated")

    windows = cut_windows(blocks(), RATE, 15.0)
    assert isinstance(next(windows), Window)
    with pytest.raises(ValueError, match="truncated"):
        list(windows)
