# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Windows of a recording of any length: what the model reads at once, between pauses or cut where it is quietest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .modules_pauses import FRAMES_PER_SECOND, PauseSettings, compute_levels, find_cuts
from .modules_speech_detection import SpeechDetector, build_energy_detector

# What is analysed at once. Memory grows with it; windows at its end wait for what follows.
_BUFFER_SECONDS = 60.0
# Heard by both windows at a cut inside speech.
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
    """

    waveform: np.ndarray
    start_sample: int
    core_start: int
    core_stop: int
    channel: int | None = None
    joins_previous: bool = False


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
    """The windows of a recording, in the order of their ends, then its end.

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


def _build_cutters(num_channels: int, *arguments) -> "list[_ChannelCutter]":
    return [_ChannelCutter(channel if num_channels > 1 else None, *arguments) for channel in range(num_channels)]


def _merge(cutters: "list[_ChannelCutter]", buffer: np.ndarray, offset: int, is_last: bool) -> Iterator[Window]:
    """The windows of all channels, by start."""
    found = [
        window
        for channel, cutter in enumerate(cutters)
        for window in cutter.add(np.ascontiguousarray(buffer[:, channel]), offset, is_last)
    ]
    return iter(sorted(found, key=lambda window: window.start_sample))


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
        # Samples of `rest` that an earlier window has covered and the next one only hears.
        self.heard = 0

    def add(self, samples: np.ndarray, offset: int, is_last: bool) -> Iterator[Window]:
        """The windows that end in the rest of the earlier samples or in these, which start at `offset`."""
        waveform = np.concatenate([self.rest, samples])
        start = offset - len(self.rest)
        heard, self.heard = self.heard, 0
        levels = compute_levels(waveform, self.sampling_rate)
        stretches = self.find_speech(waveform, levels)
        kept = len(levels)
        pause = round(self.settings.min_pause_seconds * FRAMES_PER_SECOND)
        for first, stop in stretches:
            if not is_last and stop > len(levels) - 2 * pause:
                kept = first
                break
            yield from self._windows(waveform, levels, start, first, stop, heard)
        else:
            # The last pause may hold the soft beginning of what follows.
            kept = len(levels) - 2 * pause if not is_last else kept
        kept = max(kept, 0)
        if not is_last and (len(levels) - kept) > self.max_frames + pause:
            kept = yield from self._cut_open_stretch(waveform, levels, start, kept, heard)
        self.rest = waveform[min(kept * self.hop, len(waveform)) :].copy()

    def _windows(
        self, waveform: np.ndarray, levels: np.ndarray, start: int, first: int, stop: int, heard: int
    ) -> Iterator[Window]:
        """The windows of a stretch of frames."""
        joins = 0 < heard > first * self.hop
        core = max(first * self.hop, heard)
        edges = [core // self.hop, *self._cuts(waveform, levels, core // self.hop, stop), stop]
        for place, (left, right) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            yield self._window(
                waveform, start, max(left * self.hop, heard), right * self.hop, joins or place > 0, right < stop
            )

    def _cut_open_stretch(self, waveform, levels, start: int, first: int, heard: int):
        """Windows of a stretch that goes on and is too long already; the first frame of what is kept."""
        joins = heard > first * self.hop
        core = max(first, heard // self.hop)
        cuts = self._cuts(waveform, levels, core, len(levels))
        if not cuts:
            self.heard = max(0, heard - first * self.hop)
            return first
        for place, (left, right) in enumerate(zip([core, *cuts[:-1]], cuts, strict=True)):
            yield self._window(waveform, start, left * self.hop, right * self.hop, joins or place > 0, True)
        overlap = round(_OVERLAP_SECONDS * FRAMES_PER_SECOND)
        kept = max(0, cuts[-1] - overlap)
        self.heard = (cuts[-1] - kept) * self.hop
        return kept

    def _cuts(self, waveform: np.ndarray, levels: np.ndarray, first: int, stop: int) -> list[int]:
        if stop - first <= self.max_frames:
            return []
        blanks = None
        if self.blank_posteriors is not None:
            posteriors = self.blank_posteriors(waveform[first * self.hop : stop * self.hop])
            places = np.arange(stop - first) * len(posteriors) // max(stop - first, 1)
            blanks = posteriors[np.minimum(places, len(posteriors) - 1)]
        return [first + cut for cut in find_cuts(levels[first:stop], self.max_frames, blanks)]

    def _window(self, waveform, start: int, left: int, right: int, joins: bool, is_cut: bool) -> Window:
        """The window of the samples `left` to `right`, with an overlap where it is cut inside speech."""
        overlap = round(_OVERLAP_SECONDS * self.sampling_rate)
        right = min(right, len(waveform))
        first = max(0, left - overlap) if joins else left
        last = min(len(waveform), right + overlap) if is_cut else right
        return Window(
            waveform=waveform[first:last].copy(),
            start_sample=start + first,
            core_start=left - first,
            core_stop=right - first,
            channel=self.channel,
            joins_previous=joins,
        )
