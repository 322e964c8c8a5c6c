# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A stretch of a long recording, read from it only when it is needed; and the length of any audio by its header."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import soundfile as sf

from mu2slam_hf.data.audio import AudioError, audio_duration_seconds

_LONGEST_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class AudioSlice:
    """Seconds [start, end) of a file; what lies beyond its end is left out.

    `load_audio` takes it: conversations and plenary sessions need not be cut into files first.
    """

    path: str
    start_seconds: float
    end_seconds: float

    @property
    def duration_seconds(self) -> float:
        """Length by the times given."""
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


def seconds_of(stated: Any, audio: Any, name: str | None = None) -> float:
    """Length of a recording: the number stated where it is one, else by the header of the file.

    Args:
        stated: seconds, as a number or a string, or nothing of the kind.
        audio: path, bytes, or a mapping with `bytes` or `path`.
        name: what errors call it.

    Raises:
        AudioError: nothing usable is stated and the header cannot be read.
    """
    try:
        seconds = float(stated)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0.0 < seconds <= _LONGEST_SECONDS:
        return seconds
    if isinstance(audio, AudioSlice):
        return audio.duration_seconds
    if isinstance(audio, Mapping):
        name = name or audio.get("path")
        audio = audio.get("bytes") if audio.get("bytes") is not None else audio.get("path")
    if not isinstance(audio, bytes):
        return audio_duration_seconds(audio, name=name)
    try:
        info = sf.info(io.BytesIO(audio))
    except (sf.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{name or 'audio bytes'}: cannot be decoded as audio ({error})") from error
    if info.frames <= 0:
        raise AudioError(f"{name or 'audio bytes'}: has no samples")
    return float(info.frames / info.samplerate)
