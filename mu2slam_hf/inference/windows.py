# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Windows of a recording of any length, between pauses or cut where it is quietest, and what is recognised in them.

Shapes: `n` samples, N encoder frames, D width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.pauses import (
    FRAMES_PER_SECOND,
    PauseSettings,
    SpeechDetector,
    build_energy_detector,
    compute_levels,
    find_cuts,
)

# What is analysed at once. Memory grows with it; windows at its end wait for what follows.
_BUFFER_SECONDS = 60.0
# Shared by both windows at a cut inside speech.
_OVERLAP_SECONDS = 1.0

BlankPosteriors = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A piece of a recording.

    Attributes:
        waveform: `(n,)` float32; with a cut inside speech, up to a second more than the piece itself on that side.
        start_sample: place of the first sample in the recording.
        core_start: first sample of `waveform` of the piece itself; above 0 after a cut inside speech.
        core_stop: sample after the last one of the piece itself.
        channel: channel of the recording, None if they are mixed.
        joins_previous: whether it continues the previous window of the channel, cut inside speech.
        states: `(N, D)` encoder states of the whole channel, where it was encoded in one pass; else None.
    """

    waveform: np.ndarray
    start_sample: int
    core_start: int
    core_stop: int
    channel: int | None = None
    joins_previous: bool = False
    states: Tensor | None = None


@dataclass(kw_only=True)
class RecognizedWindow:
    """A window and what was recognised in it.

    Attributes:
        window: the window; its samples are dropped after the encoder.
        num_samples: length of the window.
        source_lang: the spoken language, if it is given.
        has_speech: whether anything may be written.
        language_probabilities: by language, without `und`; None if the model has no language head.
        log_probs: `(N, V)` CTC log posteriors on the CPU; None if the model has no CTC head.
        states: `(N, D)` encoder states.
        assistant_states: the same of the assistant of assisted decoding, if there is one.
        written_language: the language of the transcript; None means unknown.
        text: the transcript, "" without speech.
        token_ids: its tokens, without special tokens.
        words: words of the transcript with times in the recording; empty if they cannot be aligned.
        translations: text by target language.
        features: what the decision about speech was made from, by name.
        no_speech_probability: see `TranscriptSegment`.
        level_dbfs: level of the loud frames in dB relative to full scale.
    """

    window: Window
    num_samples: int
    source_lang: str | None = None
    has_speech: bool = True
    language_probabilities: Mapping[str, float] | None = None
    log_probs: Tensor | None = None
    states: Any = None
    assistant_states: Tensor | None = None
    written_language: str | None = None
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    words: tuple[AlignedWord, ...] = ()
    translations: dict[str, str] = field(default_factory=dict)
    features: dict[str, float] = field(default_factory=dict)
    no_speech_probability: float | None = None
    level_dbfs: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RecordingEnd:
    """Marks that all windows of a recording were given.

    Attributes:
        num_samples: length of the recording.
    """

    num_samples: int


def cut_windows(
    blocks: Iterator[np.ndarray],
    sampling_rate: int,
    max_seconds: float,
    *,
    settings: PauseSettings | None = None,
    detector: SpeechDetector | None = None,
    blank_posteriors: BlankPosteriors | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Window | RecordingEnd]:
    """The windows of a recording, those of each channel in order, then its end.

    A recording of at most `max_seconds` is one window, as it is, unless a detector of speech is given.

    Args:
        blocks: `(n, c)` float32 blocks of the recording.
        sampling_rate: Hz.
        max_seconds: maximum length of a window without overlap.
        settings: what counts as a pause.
        detector: finds the speech, in short recordings too; None to find pauses by energy.
        blank_posteriors: function from a waveform `(n,)` to the probabilities `(N,)` of CTC's blank in each encoder
            frame, asked where there is no pause; None to cut by energy alone.
        progress: called with the seconds of audio that have been read since the last call.

    Raises:
        AudioError: from `blocks`.
    """
    settings = settings or PauseSettings()
    find_speech = detector or build_energy_detector(settings)
    options = (sampling_rate, max_seconds, settings, find_speech, blank_posteriors)
    hop = sampling_rate // FRAMES_PER_SECOND
    buffer_samples = max(round(_BUFFER_SECONDS * FRAMES_PER_SECOND), 2 * round(max_seconds * FRAMES_PER_SECOND)) * hop
    buffer, offset, total, is_first = np.zeros((0, 1), np.float32), 0, 0, True
    cutters: list[_ChannelCutter] = []
    for block in blocks:
        total += len(block)
        buffer = np.concatenate([buffer, block]) if len(buffer) else block
        if progress is not None:
            progress(len(block) / sampling_rate)
        while len(buffer) > buffer_samples:
            is_first = False
            cutters = cutters or _build_cutters(block.shape[1], *options)
            yield from _merge(cutters, buffer[:buffer_samples], offset, is_last=False)
            buffer = buffer[buffer_samples:]
            offset += buffer_samples
    if detector is None and is_first and total <= max_seconds * sampling_rate:
        for channel in range(buffer.shape[1]):
            yield Window(
                waveform=np.ascontiguousarray(buffer[:, channel]),
                start_sample=0,
                core_start=0,
                core_stop=total,
                channel=channel if buffer.shape[1] > 1 else None,
            )
    else:
        cutters = cutters or _build_cutters(buffer.shape[1], *options)
        yield from _merge(cutters, buffer, offset, is_last=True)
    yield RecordingEnd(num_samples=total)


def _build_cutters(num_channels: int, *arguments: Any) -> "list[_ChannelCutter]":
    return [_ChannelCutter(channel if num_channels > 1 else None, *arguments) for channel in range(num_channels)]


def _merge(cutters: "list[_ChannelCutter]", buffer: np.ndarray, offset: int, is_last: bool) -> Iterator[Window]:
    """The windows of all channels, by start."""
    results = [
        window
        for channel, cutter in enumerate(cutters)
        for window in cutter.add(np.ascontiguousarray(buffer[:, channel]), offset, is_last)
    ]
    return iter(sorted(results, key=lambda window: window.start_sample))


class _ChannelCutter:
    """Cuts one channel; what may continue in the next buffer is kept for it."""

    def __init__(
        self,
        channel: int | None,
        sampling_rate: int,
        max_seconds: float,
        settings: PauseSettings,
        find_speech: SpeechDetector,
        blank_posteriors: BlankPosteriors | None,
    ):
        self.channel = channel
        self.sampling_rate = sampling_rate
        self.hop = sampling_rate // FRAMES_PER_SECOND
        self.max_frames = max(1, round(max_seconds * FRAMES_PER_SECOND))
        self.settings = settings
        self.find_speech = find_speech
        self.blank_posteriors = blank_posteriors
        self.rest = np.zeros(0, dtype=np.float32)
        # Samples of `rest` in the previous window: the next one overlaps them, so that texts can be joined.
        self.covered = 0

    def add(self, samples: np.ndarray, offset: int, is_last: bool) -> Iterator[Window]:
        """The windows that end in the rest of the earlier samples or in these, which start at `offset`."""
        waveform = np.concatenate([self.rest, samples])
        start = offset - len(self.rest)
        # Frames that the previous window covers; a stretch that continues there was cut inside speech.
        covered, self.covered = self.covered // self.hop, 0
        levels = compute_levels(waveform, self.sampling_rate)
        pause = round(self.settings.min_pause_seconds * FRAMES_PER_SECOND)
        # The last pause may hold the soft beginning of what follows.
        kept = len(levels) if is_last else max(len(levels) - 2 * pause, 0)
        for first, stop in self.find_speech(waveform, levels):
            if stop <= covered:
                continue
            edges = [max(first, covered), stop]
            joins = first < covered
            if not is_last and stop > len(levels) - 2 * pause:
                # It may go on in what follows: its end waits, unless it is too long already.
                cuts = self._cuts(waveform, levels, *edges)
                yield from self._windows(waveform, start, first, [edges[0], *cuts], joins, is_cut=True)
                kept = self._keep_open(first, covered, cuts)
                break
            edges[1:1] = self._cuts(waveform, levels, *edges)
            yield from self._windows(waveform, start, first, edges, joins, is_cut=False)
        self.rest = waveform[min(kept * self.hop, len(waveform)) :].copy()

    def _keep_open(self, first: int, covered: int, cuts: list[int]) -> int:
        """The first frame that is kept of a stretch that goes on; notes how much of it is covered."""
        covered = cuts[-1] if cuts else covered
        kept = max(first, covered - round(_OVERLAP_SECONDS * FRAMES_PER_SECOND))
        self.covered = max(0, covered - kept) * self.hop
        return kept

    def _windows(
        self, waveform: np.ndarray, start: int, first: int, edges: list[int], joins: bool, is_cut: bool
    ) -> Iterator[Window]:
        """The windows between the frames `edges` of a stretch.

        Args:
            waveform: samples, the first of which is `start` in the recording.
            start: see above.
            first: first frame of the stretch; nothing before it is in a window.
            edges: first frame, cuts, and frame after the last one.
            joins: whether the first window continues an earlier one.
            is_cut: whether the last window is cut inside speech.
        """
        overlap = round(_OVERLAP_SECONDS * self.sampling_rate)
        for index, (left, right) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            joined = joins or index > 0
            core_start, core_stop = left * self.hop, min(right * self.hop, len(waveform))
            begin = max(first * self.hop, core_start - overlap) if joined else core_start
            end = min(core_stop + overlap, len(waveform)) if is_cut or index + 2 < len(edges) else core_stop
            yield Window(
                waveform=waveform[begin:end].copy(),
                start_sample=start + begin,
                core_start=core_start - begin,
                core_stop=core_stop - begin,
                channel=self.channel,
                joins_previous=joined,
            )

    def _cuts(self, waveform: np.ndarray, levels: np.ndarray, first: int, stop: int) -> list[int]:
        if stop - first <= self.max_frames:
            return []
        blanks = None
        if self.blank_posteriors is not None:
            posteriors = self.blank_posteriors(waveform[first * self.hop : stop * self.hop])
            indices = np.arange(stop - first) * len(posteriors) // max(stop - first, 1)
            blanks = posteriors[np.minimum(indices, len(posteriors) - 1)]
        return [first + cut for cut in find_cuts(levels[first:stop], self.max_frames, blanks)]


def open_recording(source: Any, max_seconds: float) -> FloatArray | Iterator[FloatArray]:
    """A recording of at most `max_seconds` as one array `(n,)` float32 at 16 kHz, a longer one as blocks `(n, 1)`.

    Args:
        source: see `stream_audio_source`.
        max_seconds: maximum length of an array.

    Raises:
        AudioError: the recording cannot be read; of a longer one, also later.
    """
    blocks = stream_audio_source(source, SAMPLING_RATE)
    read, num_samples = [], 0
    for block in blocks:
        read.append(block)
        num_samples += len(block)
        if num_samples > max_seconds * SAMPLING_RATE:
            return chain(read, blocks)
    return np.ascontiguousarray(np.concatenate(read)[:, 0])


def cut_speech(blocks: Iterator[FloatArray], max_seconds: float) -> Iterator[Window]:
    """The windows of a long recording between pauses; the first seconds of one in which no sound is found.

    Args:
        blocks: `(n, 1)` blocks at 16 kHz.
        max_seconds: maximum length of a window without overlap.
    """
    first = next(blocks)
    results = False
    for window in cut_windows(chain([first], blocks), SAMPLING_RATE, max_seconds):
        if not isinstance(window, RecordingEnd):
            results = True
            yield window
    if not results:
        waveform = first[: round(max_seconds * SAMPLING_RATE), 0].copy()
        yield Window(waveform=waveform, start_sample=0, core_start=0, core_stop=len(waveform))
