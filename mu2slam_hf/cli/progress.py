# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Progress of a transcription on a terminal: seconds of audio, and the speed compared with real time."""

import sys
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.inference.recordings import Recording, is_address

_FORMAT = "{percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s of audio, {speed}, {elapsed} < {remaining}"
_FORMAT_WITHOUT_TOTAL = "{n:.0f} s of audio, {speed}, {elapsed}"


class TranscriptionProgress:
    """A progress bar on standard error, if that is a terminal.

    Args:
        recordings: those that are transcribed.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._bar: Any = None
        self._seconds: dict[str, float] = {}
        if sys.stderr.isatty():
            self._seconds = measure_seconds(recordings)
            # Without the length of one recording the total is unknown.
            is_complete = all(recording.name in self._seconds for recording in recordings)
            total_seconds = sum(self._seconds.values()) if is_complete else None
            known = total_seconds is not None and total_seconds > 0
            self._bar = _bar_class()(
                total=total_seconds if known else None,
                bar_format=_FORMAT if known else _FORMAT_WITHOUT_TOTAL,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )

    def add(self, seconds: float) -> None:
        """Count seconds of audio that have been transcribed."""
        if self._bar is not None:
            self._bar.update(seconds)

    def skip(self, recording: Recording) -> None:
        """Do not count a recording that need not or cannot be transcribed."""
        seconds = self._seconds.get(recording.name)
        if self._bar is not None and self._bar.total and seconds:
            self._bar.total = max(self._bar.total - seconds, self._bar.n)
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
