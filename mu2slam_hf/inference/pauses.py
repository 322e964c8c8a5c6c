# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Stretches of speech between the pauses of a recording, found by energy or by silero-vad.

Shapes: `n` samples, `F` frames of 10 ms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

FRAMES_PER_SECOND = 100
_SILENCE_DBFS = -70.0
_DIGITAL_SILENCE_DBFS = -100.0
_STEADY_FRAMES = 30
# Frequencies that count, in Hz: mains hum and rumble are below, hiss of analogue recordings is above.
_BAND = (100.0, 4000.0)


@dataclass(frozen=True, kw_only=True)
class PauseSettings:
    """What counts as a pause.

    Attributes:
        min_pause_seconds: shortest pause.
        below_peak_db: a frame is quiet if it is this much below the loud frames around it,
        above_floor_db: or less than this above the background around it.
        steady_db: or if the levels of 0.3 s around it deviate by less than this, which speech does not do.
        context_seconds: how far around a frame loudness and background are measured, on either side.
        padding_seconds: how much of a silent pause is kept at either end of a stretch.
        noise_padding_seconds: the same for a pause with background noise,
        noise_below_peak_db: which is less than this below the loud frames.
    """

    min_pause_seconds: float = 0.5
    below_peak_db: float = 25.0
    above_floor_db: float = 6.0
    steady_db: float = 1.2
    context_seconds: float = 10.0
    padding_seconds: float = 0.2
    noise_padding_seconds: float = 0.0
    noise_below_peak_db: float = 35.0


def compute_levels(waveform: np.ndarray, sampling_rate: int) -> np.ndarray:
    """Level of each frame of 10 ms in dB relative to full scale, from 100 Hz to 4 kHz.

    Args:
        waveform: `(n,)` float in [-1, 1].
        sampling_rate: Hz.

    Returns:
        `(F,)` float64, `F = ceil(n / 10 ms)`; -120 for digital silence.
    """
    hop = sampling_rate // FRAMES_PER_SECOND
    num_frames = -(-len(waveform) // hop)
    # A frame is measured over 20 ms around its middle.
    padded = np.pad(np.asarray(waveform, dtype=np.float64), (hop // 2, num_frames * hop + hop - len(waveform)))
    window = np.hanning(2 * hop)
    frequencies = np.fft.rfftfreq(2 * hop, 1 / sampling_rate)
    band = (frequencies >= _BAND[0]) & (frequencies <= _BAND[1])
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop][:num_frames]
    power = np.empty(num_frames)
    # In pieces, so that the spectra of an hour are never in memory together.
    for start in range(0, num_frames, 6000):
        spectra = np.fft.rfft(frames[start : start + 6000] * window, axis=1)[:, band]
        power[start : start + 6000] = (spectra.real**2 + spectra.imag**2).sum(axis=1)
    return 10 * np.log10(power * 2 / (window**2).sum() / (2 * hop) + 1e-12)


def find_stretches(levels: np.ndarray, settings: PauseSettings) -> list[tuple[int, int]]:
    """Stretches between pauses, with their padding, in order and without overlap.

    A pause that has sound of its own, such as a second speaker far from the microphone, is searched again by itself.

    Args:
        levels: `(F,)` dB.
        settings: what counts as a pause.

    Returns:
        First frame and frame after the last one of each stretch.
    """
    if not len(levels):
        return []
    results = _search(levels, 0, settings)
    steady = _widen(_running_deviation(levels, _STEADY_FRAMES) < settings.steady_db, _STEADY_FRAMES // 2)
    padded = [
        (start - _padding(levels, steady, start, -1, settings), stop + _padding(levels, steady, stop - 1, 1, settings))
        for start, stop in results
    ]
    for place in range(1, len(padded)):
        if padded[place][0] < padded[place - 1][1]:
            middle = (results[place - 1][1] + results[place][0]) // 2
            padded[place - 1] = (padded[place - 1][0], middle)
            padded[place] = (middle, padded[place][1])
    return padded


def _padding(levels: np.ndarray, steady: np.ndarray, edge: int, step: int, settings: PauseSettings) -> int:
    """Number of frames to add before (`step` -1) or after (1) the frame `edge` of a stretch.

    Soft sounds at the edges of words are not steady; steady noise, which resembles a fricative, is left out.
    """
    longest, shortest = (
        round(seconds * FRAMES_PER_SECOND) for seconds in (settings.padding_seconds, settings.noise_padding_seconds)
    )
    indices = slice(edge + 1, edge + 1 + longest) if step > 0 else slice(max(0, edge - longest), edge)
    frames, noise = levels[indices][::step], steady[indices][::step]
    around = levels[max(0, edge - FRAMES_PER_SECOND) : edge + FRAMES_PER_SECOND]
    loud = noise & (frames > max(np.percentile(around, 95) - settings.noise_below_peak_db, _SILENCE_DBFS))
    # Nor is digital silence worth keeping, which no microphone records.
    ends = loud | (frames < _DIGITAL_SILENCE_DBFS)
    return min(len(frames), max(int(np.argmax(ends)) if ends.any() else len(frames), shortest))


def _search(levels: np.ndarray, offset: int, settings: PauseSettings, is_pause: bool = False) -> list[tuple[int, int]]:
    active = _active_frames(levels, settings, is_pause)
    min_pause = round(settings.min_pause_seconds * FRAMES_PER_SECOND)
    # A click of less than 40 ms does not end a pause.
    stretches = _join([run for run in _runs(active) if run[1] - run[0] >= 4], min_pause)
    edges = [0, *(edge for stretch in stretches for edge in stretch), len(levels)]
    again: list[tuple[int, int]] = []
    # Only where something was found; else the same search would be repeated.
    for start, stop in zip(edges[::2], edges[1::2], strict=True) if stretches else ():
        if stop - start >= FRAMES_PER_SECOND:
            quiet = levels[start + 10 : stop - 10]
            if np.percentile(quiet, 95) - max(np.percentile(quiet, 10), _SILENCE_DBFS) > 12.0:
                again += _search(quiet, offset + start + 10, settings, is_pause=True)
    # What is found in a pause may be the end of a word: joined where the rest of the pause is too short.
    return _join(sorted([(start + offset, stop + offset) for start, stop in stretches] + again), min_pause)


def _join(stretches: list[tuple[int, int]], min_pause: int) -> list[tuple[int, int]]:
    """The stretches, joined where fewer than `min_pause` frames are between them."""
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and start - joined[-1][1] < min_pause:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _active_frames(levels: np.ndarray, settings: PauseSettings, is_pause: bool) -> np.ndarray:
    """Whether each frame is neither quiet relative to its surroundings nor silent, `(F,)` bool."""
    context = round(settings.context_seconds * FRAMES_PER_SECOND)
    # Percentiles every second, over the frames around it.
    centres = np.arange(0, len(levels), FRAMES_PER_SECOND) + FRAMES_PER_SECOND // 2
    peaks, floors = np.empty(len(centres)), np.empty(len(centres))
    for place, centre in enumerate(centres):
        around = levels[max(0, centre - context) : centre + context]
        floors[place], peaks[place] = np.percentile(around, (10, 95))
    peak, floor = (np.repeat(values, FRAMES_PER_SECOND)[: len(levels)] for values in (peaks, floors))
    threshold = np.maximum(peak - settings.below_peak_db, floor + settings.above_floor_db)
    # Without pauses, for example in noise, the background is not known.
    threshold = np.maximum(np.minimum(threshold, peak - 8.0), _SILENCE_DBFS)
    steady = _running_deviation(levels, _STEADY_FRAMES) < settings.steady_db
    if not is_pause:
        # A loud steady sound may be a long vowel.
        steady &= levels < peak - 10.0
    return (levels > threshold) & ~_widen(steady, _STEADY_FRAMES // 2)


def _widen(values: np.ndarray, width: int) -> np.ndarray:
    """True within `width` frames of each True, `(F,)` bool."""
    return _running_maximum(values.astype(np.int8), 2 * width) > 0


def _running_deviation(values: np.ndarray, width: int) -> np.ndarray:
    """Standard deviation of the values around each frame, `(F,)`."""
    padded = np.pad(values, width // 2, mode="reflect" if len(values) > width else "edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * (width // 2) + 1).std(axis=1)


def _runs(active: np.ndarray) -> list[tuple[int, int]]:
    """First frame and frame after the last one of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def find_cuts(levels: np.ndarray, max_frames: int, blanks: np.ndarray | None = None) -> list[int]:
    """Frames at which a stretch that is too long is cut: where it is quietest, or where CTC is surest of blanks.

    Args:
        levels: `(F,)` dB.
        max_frames: maximum number of frames between two cuts.
        blanks: `(F,)` probability of the CTC blank in each frame; None if there is none.

    Returns:
        positions of the cuts in ascending order; empty if `F <= max_frames`.

    Choice: a cut is searched in the second half of what is allowed, and, so that the last piece is not tiny, at most
    in the middle of what remains.
    """
    # The loudest frame within 150 ms: a pause inside a word is shorter.
    smooth = _running_maximum(levels, 15)
    scores = smooth - smooth.max()
    if blanks is not None:
        scores = scores - 20.0 * _running_minimum(blanks, 9)
    cuts: list[int] = []
    start = 0
    while len(levels) - start > max_frames:
        remaining = len(levels) - start
        last = min(max_frames, remaining // 2) if remaining < 2 * max_frames else max_frames
        first = max(last // 2, 1)
        # Equal scores: the latest.
        window = scores[start + first : start + last + 1][::-1]
        start += last - int(np.argmin(window))
        cuts.append(start)
    return cuts


def _running_maximum(values: np.ndarray, width: int) -> np.ndarray:
    padded = np.pad(values, width // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * (width // 2) + 1).max(axis=1)


def _running_minimum(values: np.ndarray, width: int) -> np.ndarray:
    return -_running_maximum(-values, width)


DETECTORS = ("energy", "silero")
"""Names of detectors: pauses by energy, or the neural network silero-vad (extra `vad`)."""

SpeechDetector = Callable[[np.ndarray, np.ndarray], list[tuple[int, int]]]
"""Function from a waveform `(n,)` float32 and its levels `(F,)` in dB (see `compute_levels`) to the stretches of
speech, first frame and frame after the last one of each, in order and without overlap."""

_MIN_SPEECH_MS = 100


class SileroDetector:
    """Stretches in which silero-vad detects speech. It is trained on many languages, and ignores noise and music.

    Args:
        sampling_rate: Hz, 8000 or 16000.
        settings: its shortest pause and its padding.

    Raises:
        ImportError: silero-vad is not installed.
        ValueError: another sampling rate.
    """

    def __init__(self, sampling_rate: int, settings: PauseSettings | None = None):
        if sampling_rate not in (8000, 16000):
            raise ValueError(f"silero-vad reads 8000 or 16000 Hz, but the model expects {sampling_rate} Hz.")
        self.sampling_rate = sampling_rate
        self.settings = settings or PauseSettings()
        self._model, self._find = _load_silero()

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray, levels: np.ndarray) -> list[tuple[int, int]]:
        """Stretches of speech of `(n,)` samples, with their padding; see `SpeechDetector`."""
        results = self._find(
            torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)),
            self._model,
            sampling_rate=self.sampling_rate,
            min_speech_duration_ms=_MIN_SPEECH_MS,
            min_silence_duration_ms=round(1000 * self.settings.min_pause_seconds),
            speech_pad_ms=round(1000 * self.settings.padding_seconds),
        )
        hop = self.sampling_rate // FRAMES_PER_SECOND
        stretches: list[tuple[int, int]] = []
        for stretch in results:
            first = max(stretch["start"] // hop, stretches[-1][1] if stretches else 0)
            stop = min(-(-stretch["end"] // hop), len(levels))
            if first < stop:
                stretches.append((first, stop))
        return stretches


def _load_silero() -> tuple[Any, Any]:
    """The network, whose weights are part of its package, and its function `get_speech_timestamps`."""
    num_threads = torch.get_num_threads()
    try:
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError as error:
        raise ImportError(
            "vad='silero' requires the package silero-vad: pip install 'mu2slam-hf[vad]' (or use vad='energy')"
        ) from error
    finally:
        # Its import limits all of torch to one thread.
        torch.set_num_threads(num_threads)
    return load_silero_vad(), get_speech_timestamps


def build_detector(name: str, sampling_rate: int) -> SpeechDetector | None:
    """The detector of a name; None for the default of `cut_windows`, pauses by energy.

    Args:
        name: one of `DETECTORS`.
        sampling_rate: Hz.

    Raises:
        ValueError: an unknown name.
        ImportError: the package of the detector is not installed.
    """
    if name not in DETECTORS:
        raise ValueError(f"vad must be one of {', '.join(DETECTORS)}, got {name!r}.")
    return SileroDetector(sampling_rate) if name == "silero" else None


def build_energy_detector(settings: PauseSettings) -> SpeechDetector:
    """Stretches between pauses, by energy; see `find_stretches`."""

    def find(waveform: np.ndarray, levels: np.ndarray) -> list[tuple[int, int]]:
        return find_stretches(levels, settings)

    return find
