# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of audio from many kinds of sources into 16 kHz mono float32, and a cache of decoded audio."""

import hashlib
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mu2slam_hf.data.audio_sources import read_audio_source, stream_audio_source
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_audio_files import measure_audio_file, read_audio_file

__all__ = ["AudioCache", "AudioError", "FloatArray", "SAMPLING_RATE", "audio_duration_seconds", "load_audio"]

SAMPLING_RATE = 16_000
FloatArray = npt.NDArray[np.float32]


def load_audio(
    source: Any, sampling_rate: int = SAMPLING_RATE, *, source_rate: int | None = None, name: str | None = None
) -> FloatArray:
    """All of a recording, mono; see `stream_audio_source` for what can be read.

    Args:
        source: path, URL, bytes, file object, array, mapping, ...
        sampling_rate: rate of the result in Hz.
        source_rate: rate of an array in Hz, not used for files. Default: `sampling_rate`.
        name: name for error messages; default: the path.

    Returns:
        `(samples,)` float32, mono (mean of the channels), at least one sample, finite.

    Raises:
        AudioError: see `stream_audio_source`.
    """
    return read_audio_source(source, sampling_rate, source_rate=source_rate, name=name)


def audio_duration_seconds(source: Any, *, name: str | None = None) -> float:
    """Duration in seconds, as `load_audio` reads it; of a file whose format states it, only the header is read."""
    if isinstance(source, bytes):
        return measure_audio_file(source, name or "audio bytes")
    if isinstance(source, (str, os.PathLike)) and not str(source).startswith(("http://", "https://")):
        return measure_audio_file(source, name or os.fspath(source))
    return sum(len(block) for block in stream_audio_source(source, SAMPLING_RATE, name=name)) / SAMPLING_RATE


def hash_audio(source: Any) -> str:
    """Hash of the content of a recording: of the bytes of a file, else of the samples.

    Raises:
        AudioError: it cannot be read.
    """
    if isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
        try:
            with open(source, "rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise AudioError(f"{source}: {error}") from error
    content = source if isinstance(source, bytes) else load_audio(source).tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


class AudioCache:
    """Decoded 16 kHz audio in memory, so that training decodes every file once, not once per epoch.

    Samples are kept as int16 (2 bytes; the rounding is 80 dB below the speech). Choice: when the limit is reached,
    nothing is added or evicted: an epoch reads every file once, so with the eviction of the least recently used
    file no file would ever be found. Each loader process has its own cache; to share one, fill it with `preload`
    before the loader forks.

    Args:
        max_bytes: maximum size of the samples; 0 disables the cache.
        sampling_rate: rate of the audio in Hz.
    """

    def __init__(self, max_bytes: int = 2 * 1024**3, sampling_rate: int = SAMPLING_RATE) -> None:
        if max_bytes < 0:
            raise ValueError(f"`max_bytes` must not be negative, got {max_bytes}")
        self.max_bytes = max_bytes
        self.sampling_rate = sampling_rate
        self.num_bytes = 0
        self.hits = 0
        self.misses = 0
        self._kept: dict[Hashable, npt.NDArray[np.int16]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def load(self, source: Any, *, key: Hashable | None = None, name: str | None = None) -> FloatArray:
        """As `load_audio`, from memory if it was read before; `key` defaults to the path."""
        if key is None and isinstance(source, (str, os.PathLike)):
            key = os.fspath(source)
        if key is not None and key in self._kept:
            self.hits += 1
            return self._kept[key].astype(np.float32) / np.float32(32768.0)
        self.misses += 1
        samples = load_audio(source, self.sampling_rate, name=name)
        rounded = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
        if key is not None and self.num_bytes + rounded.nbytes <= self.max_bytes:
            self._kept[key] = rounded
            self.num_bytes += rounded.nbytes
        # Rounded on the first read too, so that the first epoch equals a resumed one.
        return rounded.astype(np.float32) / np.float32(32768.0)

    def preload(self, sources: Mapping[Hashable, Any]) -> list[AudioError]:
        """Read all sources; errors are returned, not raised."""
        errors = []
        for key, source in sources.items():
            try:
                self.load(source, key=key)
            except AudioError as error:
                errors.append(error)
        return errors


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
