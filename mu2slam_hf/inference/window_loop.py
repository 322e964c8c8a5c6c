# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The loop over the windows of many recordings: read, cut, pooled, processed together, and concluded in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from mu2slam_hf.data.audio_sources import stream_audio_source
from mu2slam_hf.inference.pauses import SpeechDetector
from mu2slam_hf.inference.windows import RecordingEnd, Window, cut_windows
from mu2slam_hf.models.modules_audio_decoders import AudioError

# Windows are processed together when there are this many batches.
_POOLED_BATCHES = 2
# Samples of a recording that is in memory are passed on in blocks of this many.
_BLOCK = 1 << 20


class RecordingTooLongError(AudioError):
    """A recording is longer than it may be."""


class RecordingState:
    """A recording that is being processed.

    Args:
        source: the recording, see `stream_audio_source`.
        source_lang: the spoken language; None means unknown.
        max_seconds: a longer recording has a `RecordingTooLongError` as its result; None: any length.

    Attributes:
        read_seconds: what was read of it.
        num_samples: its length, None until it is read to its end.
        error: why it cannot be read.
    """

    def __init__(self, source: Any, source_lang: str | None = None, max_seconds: float | None = None) -> None:
        self.source = source
        self.source_lang = source_lang
        self.max_seconds = max_seconds
        self.read_seconds = 0.0
        self.num_samples: int | None = None
        self.error: AudioError | None = None

    @property
    def is_read(self) -> bool:
        """Whether all of its windows are known."""
        return self.num_samples is not None or self.error is not None


State = TypeVar("State", bound=RecordingState)
Result = TypeVar("Result")


class WindowLoop(Generic[State, Result]):
    """Runs a model on the windows of recordings of any length, in bounded memory; subclasses say what they do.

    Args:
        sampling_rate: Hz.
        chunk_seconds: maximum length of a window.
        batch_seconds: maximum seconds of audio in a batch; windows of several batches are processed together.
        detector: finds the speech; None to cut at pauses of energy.
        split_channels: process the channels of a recording separately.
        compute_blanks: function of a waveform `(n,)` and the spoken language, see `cut_windows`.
        encode_whole: function of a waveform `(n,)` and the spoken language that gives the encoder states of a channel;
            None if windows are encoded by themselves.
        progress: called with the number of seconds of audio that have been processed since the last call.
    """

    def __init__(
        self,
        *,
        sampling_rate: int,
        chunk_seconds: float,
        batch_seconds: float,
        detector: SpeechDetector | None = None,
        split_channels: bool = False,
        compute_blanks: Callable[..., np.ndarray] | None = None,
        encode_whole: Callable[..., Tensor] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.sampling_rate = sampling_rate
        self.chunk_seconds = chunk_seconds
        self.pool_seconds = _POOLED_BATCHES * batch_seconds
        self.detector = detector
        self.split_channels = split_channels
        self.compute_blanks = compute_blanks
        self.encode_whole = encode_whole
        self.progress = progress
        self.waiting: deque[State] = deque()
        self.pool: list[tuple[State, Window]] = []
        self.read_seconds = 0.0

    def run(self, recordings: Iterable[State]) -> Iterator[Result | AudioError]:
        """The result of each recording, in order, or the error that says why it cannot be read.

        Args:
            recordings: read when they are needed.
        """
        for recording in recordings:
            for _ in self._read(recording):
                yield from self._concluded()
            yield from self._concluded()
        self._process_pool()
        yield from self._concluded()

    def process(self, pool: list[tuple[State, Window]]) -> None:
        """Run the model on the windows of several recordings."""
        raise TypeError(f"{type(self).__name__} does not process windows.")

    def conclude(self, recording: State) -> Result:
        """The result of a recording whose windows have all been processed."""
        raise TypeError(f"{type(self).__name__} has no results.")

    def restore(self, recording: State, window: Window) -> bool:
        """Take the result of a window from an earlier run; False if there is none, and it must be processed."""
        return False

    def held(self) -> Iterable[State]:
        """Recordings with windows that were processed but are not finished."""
        return ()

    def forget(self, recording: State) -> None:
        """Drop the windows of a recording that cannot be read to its end."""
        self.pool = [(other, window) for other, window in self.pool if other is not recording]

    def _read(self, recording: State) -> Iterator[None]:
        """Read a recording; processes windows whenever there are enough for batches, then yields."""
        self.waiting.append(recording)
        for window in self.read_windows(recording):
            if self.restore(recording, window):
                continue
            self.pool.append((recording, window))
            if sum(len(pooled.waveform) for _, pooled in self.pool) >= self.pool_seconds * self.sampling_rate:
                self._process_pool()
                yield

    def read_windows(self, recording: State) -> Iterator[Window]:
        """The windows of a recording; after the last one, its length is known, or why it cannot be read."""
        source, recording.source = recording.source, None  # not kept until the result
        blanks = self.compute_blanks and partial(self.compute_blanks, source_lang=recording.source_lang)
        states: dict[int | None, Tensor] = {}
        windows = cut_windows(
            self._read_blocks(recording, source, states),
            self.sampling_rate,
            self.chunk_seconds,
            detector=self.detector,
            blank_posteriors=blanks,
            progress=self._count,
        )
        try:
            for window in windows:
                if isinstance(window, RecordingEnd):
                    recording.num_samples = window.num_samples
                    return
                yield window if self.encode_whole is None else replace(window, states=states[window.channel])
        except AudioError as error:
            recording.error = error
            self.forget(recording)

    def _read_blocks(self, recording: State, source: Any, states: dict[int | None, Tensor]) -> Iterator[np.ndarray]:
        """The blocks of a recording; if it is encoded whole, the states of its channels precede them."""
        blocks = self._limit_blocks(recording, source)
        if self.encode_whole is not None:
            waveform = np.concatenate(list(blocks))
            for channel in range(waveform.shape[1]):
                key = channel if waveform.shape[1] > 1 else None
                states[key] = self.encode_whole(waveform[:, channel], source_lang=recording.source_lang)
            blocks = (waveform[start : start + _BLOCK] for start in range(0, len(waveform), _BLOCK))
        yield from blocks

    def _limit_blocks(self, recording: State, source: Any) -> Iterator[np.ndarray]:
        for block in stream_audio_source(source, self.sampling_rate, split_channels=self.split_channels):
            recording.read_seconds += len(block) / self.sampling_rate
            if recording.max_seconds is not None and recording.read_seconds > recording.max_seconds:
                raise RecordingTooLongError(f"the recording is longer than {recording.max_seconds:.0f} s")
            yield block

    def _process_pool(self) -> None:
        pool, self.pool = self.pool, []
        self.process(pool)
        self._report()

    def _concluded(self) -> Iterator[Result | AudioError]:
        """Results of recordings that are complete, in order."""
        pending = {id(recording) for recording in (*(recording for recording, _ in self.pool), *self.held())}
        while self.waiting and self.waiting[0].is_read and id(self.waiting[0]) not in pending:
            recording = self.waiting.popleft()
            yield self.conclude(recording) if recording.error is None else recording.error

    def _count(self, seconds: float) -> None:
        self.read_seconds += seconds
        # Long silence has no windows to process.
        if not self.pool and self.read_seconds >= self.pool_seconds:
            self._report()

    def _report(self) -> None:
        if self.progress is not None and self.read_seconds:
            self.progress(self.read_seconds)
            self.read_seconds = 0.0
