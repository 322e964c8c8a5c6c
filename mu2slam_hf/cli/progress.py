# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Progress of a transcription: seconds of audio, and the speed compared with real time."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.inference.recordings import Recording, is_address

_FORMAT = "{percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {speed}, {elapsed} < {remaining}"
_FORMAT_WITHOUT_TOTAL = "{n:.0f} s of audio, {speed}, {elapsed}"
# Between two lines in a pipe or file.
_LINE_SECONDS = 30.0


class TranscriptionProgress:
    """A progress bar on standard error; if that is no terminal, a line every half minute at most.

    Args:
        recordings: those that are transcribed.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._bar: Any = None
        self._recordings = recordings
        self._seconds: dict[str, float] | None = None
        self._skipped: set[str] = set()
        self._done = 0.0
        self._start = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            total_seconds = self._total_seconds()
            self._bar = _bar_class()(
                total=total_seconds,
                bar_format=_FORMAT_WITHOUT_TOTAL if total_seconds is None else _FORMAT,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )

    def _total_seconds(self) -> float | None:
        """The length of all recordings that are transcribed; None if that of one is unknown."""
        if self._seconds is None:
            self._seconds = measure_seconds(self._recordings)
        names = [recording.name for recording in self._recordings if recording.name not in self._skipped]
        is_complete = all(name in self._seconds for name in names)
        return sum(self._seconds[name] for name in names) or None if is_complete else None

    def add(self, seconds: float) -> None:
        """Count seconds of audio that have been transcribed."""
        self._done += seconds
        if self._bar is not None:
            self._bar.update(seconds)
        elif (now := time.monotonic()) - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            total_seconds = self._total_seconds()
            total = "" if total_seconds is None else f" of {max(total_seconds, self._done):.0f}"
            speed = self._done / (now - self._start)
            print(f"{self._done:.0f}{total} s of audio, {speed:.1f} x real time", file=sys.stderr, flush=True)

    def skip(self, recording: Recording) -> None:
        """Do not count a recording that need not or cannot be transcribed."""
        self._skipped.add(recording.name)
        if self._bar is not None and self._bar.total:
            self._bar.total = max(self._total_seconds() or 0.0, self._bar.n)
            self._bar.refresh()

    def clear(self) -> None:
        """Remove the bar before a line is printed; it appears again at its next update."""
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def _bar_class() -> Any:
    from tqdm import tqdm

    class SpeedBar(tqdm):
        """A bar that shows the rate as a multiple of real time."""

        @property
        def format_dict(self) -> dict[str, Any]:
            values = dict(super().format_dict)
            rate = values["rate"] or (values["n"] / values["elapsed"] if values["elapsed"] else 0.0)
            values["speed"] = f"{rate:.1f} x real time"
            return values

    return SpeedBar


def measure_seconds(recordings: Sequence[Recording]) -> dict[str, float]:
    """Durations of files by name, from their headers; of others nothing."""
    from mu2slam_hf.data.audio import AudioError, audio_duration_seconds

    seconds = {}
    for recording in recordings:
        if isinstance(recording.source, str) and not is_address(recording.source):
            try:
                seconds[recording.name] = audio_duration_seconds(recording.source)
            except AudioError:
                continue
    return seconds
