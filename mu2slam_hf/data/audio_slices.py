# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Parts of long recordings, read on demand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.data.audio import AudioError
from mu2slam_hf.models.modules_audio_files import read_audio_file


@dataclass(frozen=True)
class AudioSlice:
    """Seconds [start, end) of a file, cut at its end.

    `load_audio` accepts it, so that conversations and plenary sessions need not be split into files.
    """

    path: str
    start_seconds: float
    end_seconds: float

    @property
    def duration_seconds(self) -> float:
        """Nominal duration, `end_seconds - start_seconds`."""
        return self.end_seconds - self.start_seconds

    def read_audio(self) -> Mapping[str, Any]:
        """`{"array": (n,) float32, the mean of the channels, "sampling_rate": Hz}`.

        Raises:
            AudioError: the file cannot be read, or ends before the slice begins.
        """
        try:
            samples, rate = read_audio_file(self.path, self.path, self.start_seconds, self.end_seconds)
        except AudioError as error:
            hint = "; SPHERE files compressed by shorten must be unpacked by sph2pipe first"
            raise AudioError(f"{error}{hint if self.path.lower().endswith('.sph') else ''}") from error
        return {"array": samples, "sampling_rate": rate}


def audio_path(audio: Any) -> str | None:
    """The file of a recording or of a part of one; None for audio that is not in a file of its own."""
    path = audio.path if isinstance(audio, AudioSlice) else audio
    return path if isinstance(path, str) else None
