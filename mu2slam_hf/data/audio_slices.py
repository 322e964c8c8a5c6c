# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Parts of long recordings, read on demand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import soundfile as sf

from mu2slam_hf.data.audio import AudioError


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
            with sf.SoundFile(self.path) as file:
                start = round(self.start_seconds * file.samplerate)
                stop = min(round(self.end_seconds * file.samplerate), file.frames)
                if start >= stop:
                    seconds = file.frames / file.samplerate
                    raise AudioError(
                        f"{self.path}: no samples from {self.start_seconds:.2f} s to {self.end_seconds:.2f} s, "
                        f"the recording has {seconds:.2f} s"
                    )
                file.seek(start)
                samples = file.read(stop - start, dtype="float32", always_2d=True)
                rate = file.samplerate
        except (sf.SoundFileError, OSError, RuntimeError) as error:
            raise AudioError(
                f"{self.path}: cannot be read ({error}); SPHERE files compressed by shorten must be unpacked by "
                "sph2pipe first"
            ) from error
        return {"array": samples.mean(axis=1), "sampling_rate": rate}


def audio_path(audio: Any) -> str | None:
    """The file of a recording or of a part of one; None for audio that is not in a file of its own."""
    path = audio.path if isinstance(audio, AudioSlice) else audio
    return path if isinstance(path, str) else None
