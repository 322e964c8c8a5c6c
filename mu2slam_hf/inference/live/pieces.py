# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech that is still going on: pieces between pauses as they end, and the words of a growing piece that stay.

Shapes: `n` samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.inference.pauses import FRAMES_PER_SECOND, PauseSettings, compute_levels, find_stretches

# Of what is before the first sound, this is kept: it may be the soft beginning of a word.
_KEPT_SECONDS = 0.5
_SMOOTHED_FRAMES = 10


@dataclass(frozen=True, kw_only=True)
class LivePiece:
    """A piece of speech that is over.

    Attributes:
        waveform: `(n,)` float32.
        start_sample: its place since the beginning.
    """

    waveform: FloatArray
    start_sample: int


class LiveSpeech:
    """Cuts speech at pauses while it arrives.

    Args:
        sampling_rate: Hz.
        max_seconds: a longer piece is cut where it is quietest.
        min_pause_seconds: a pause that ends a piece; None: pieces end only by `finish` and by their length.

    Attributes:
        start_sample: beginning of the piece that goes on; None without speech.
    """

    def __init__(self, sampling_rate: int, max_seconds: float, min_pause_seconds: float | None = 0.5) -> None:
        self.start_sample: int | None = None
        self._rate, self._hop = sampling_rate, sampling_rate // FRAMES_PER_SECOND
        self._max_frames = round(max_seconds * FRAMES_PER_SECOND)
        self._pause = min_pause_seconds
        self._buffer, self._offset = np.zeros(0, dtype=np.float32), 0

    @property
    def growing(self) -> FloatArray:
        """The piece that goes on, so far; empty without speech."""
        if self.start_sample is None:
            return self._buffer[:0]
        return self._buffer[self.start_sample - self._offset :]

    def add(self, samples: FloatArray) -> list[LivePiece]:
        """The pieces that end with these samples.

        Args:
            samples: `(n,)` float32, the next ones.
        """
        self._buffer = np.concatenate([self._buffer, samples])
        pieces: list[LivePiece] = []
        while (piece := self._find()) is not None:
            pieces.append(piece)
        return pieces

    def finish(self) -> LivePiece | None:
        """The piece that goes on, which ends here; None without speech."""
        piece = None
        if self.start_sample is not None and len(self.growing):
            piece = LivePiece(waveform=self.growing.copy(), start_sample=self.start_sample)
        self.clear()
        return piece

    def clear(self) -> None:
        """Forget what was not given yet."""
        self._drop(self._offset + len(self._buffer))
        self.start_sample = None

    def _find(self) -> LivePiece | None:
        """The next piece that is over."""
        if not len(self._buffer):
            return None
        levels = compute_levels(self._buffer, self._rate)
        first, stop, is_over = 0, len(levels), False
        if self._pause is not None:
            known = 0 if self.start_sample is None else (self.start_sample - self._offset) // self._hop
            found = find_stretches(levels, PauseSettings(min_pause_seconds=self._pause))
            stretches = [stretch for stretch in found if stretch[1] > known]
            if not stretches:
                self.start_sample = None
                self._drop(self._offset + len(self._buffer) - round(_KEPT_SECONDS * self._rate))
                return None
            first, stop = stretches[0]
            # The padding of a stretch does not reach into the rest of its pause.
            is_over = len(stretches) > 1 or len(levels) - stop >= self._pause * FRAMES_PER_SECOND
        if self.start_sample is None:
            self.start_sample = self._offset + first * self._hop
        first = (self.start_sample - self._offset) // self._hop
        if stop - first > self._max_frames:
            stop, is_over = first + self._find_quietest(levels[first : first + self._max_frames]), True
        if not is_over:
            return None
        end = min(self._offset + stop * self._hop, self._offset + len(self._buffer))
        waveform = self._buffer[self.start_sample - self._offset : end - self._offset].copy()
        piece = LivePiece(waveform=waveform, start_sample=self.start_sample)
        self.start_sample = None
        self._drop(end)
        return piece

    @staticmethod
    def _find_quietest(levels: np.ndarray) -> int:
        """The quietest frame of the second half."""
        half = len(levels) // 2
        return half + int(np.argmin(np.convolve(levels, np.ones(_SMOOTHED_FRAMES), "same")[half:]))

    def _drop(self, sample: int) -> None:
        """Forget what is before a sample."""
        count = max(0, sample - self._offset)
        self._buffer, self._offset = self._buffer[count:], self._offset + count


class LocalAgreement:
    """The words that stay: those with which two guesses in a row begin (LocalAgreement-2).

    Attributes:
        words: the words that stay.
    """

    def __init__(self) -> None:
        self.words: list[str] = []
        self._last: Sequence[str] = ()

    def add(self, guess: str) -> list[str]:
        """The further words that stay after another guess at the whole piece."""
        words = guess.split()
        count = 0
        while count < min(len(words), len(self._last)) and words[count] == self._last[count]:
            count += 1
        added = words[len(self.words) : count]
        self.words += added
        self._last = words
        return added
