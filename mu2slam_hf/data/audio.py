# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of audio from many kinds of sources into 16 kHz mono float32, with soundfile and soxr."""

import io
import os
import struct
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

SAMPLING_RATE = 16_000
FloatArray = npt.NDArray[np.float32]
_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000})


class AudioError(ValueError):
    """Invalid audio; the message contains the file and the reason."""


def load_audio(
    source: Any, sampling_rate: int = SAMPLING_RATE, *, source_rate: int | None = None, name: str | None = None
) -> FloatArray:
    """Read audio from any supported source.

    Args:
        source: path; bytes of a file; binary file object; array of samples `(n,)`, `(n, channels)` or
            `(channels, n)` (numpy, torch, list; float, int16, int32, uint8, int8); mapping with `array` and
            `sampling_rate`, or with `path` and/or `bytes`; object whose method `read_audio()` returns one of these.
        sampling_rate: rate of the result in Hz.
        source_rate: rate of an array in Hz, not used for files. Default: `sampling_rate`.
        name: name for error messages; default: the path.

    Returns:
        `(samples,)` float32, mono (mean of the channels), at least one sample, finite.

    Raises:
        AudioError: the file is missing, a folder, not audio, truncated, empty, or has NaN or infinite samples.
    """
    label, content = _located(source, name)
    if isinstance(content, bytes):
        samples, rate = _decode(content, label)
        return _resample(_checked(samples, label), rate, sampling_rate)
    if isinstance(content, Mapping):
        return _from_array(content, None, sampling_rate, label)
    return _from_array(content, source_rate, sampling_rate, label)


def audio_duration_seconds(source: Any, *, name: str | None = None) -> float:
    """Duration in seconds; only the header of a file is read."""
    if isinstance(source, (str, os.PathLike)):
        path = _checked_path(source)
        try:
            info = sf.info(str(path))
        except sf.LibsndfileError as error:
            raise AudioError(_not_audio(str(path), path.open("rb").read(64), error)) from error
        if info.frames <= 0:
            raise AudioError(f"{path}: has no samples")
        return float(info.frames / info.samplerate)
    return len(load_audio(source, name=name)) / SAMPLING_RATE


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


def _located(source: Any, name: str | None) -> tuple[str, Any]:
    """The name for messages, and the bytes of the file or the array (with its mapping, if any)."""
    if hasattr(source, "read_audio"):
        source = source.read_audio()
    if isinstance(source, Mapping):
        name = name or source.get("path")
        if source.get("array") is not None or source.get("raw") is not None:
            return name or "audio array", source
        inner = source.get("bytes") if source.get("bytes") is not None else source.get("path")
        if inner is None:
            keys = sorted(map(str, source))
            raise AudioError(f"{name or 'audio'}: a mapping must have `array`, `bytes` or `path`, got {keys}")
        return _located(inner, name)
    if isinstance(source, (str, os.PathLike)):
        path = _checked_path(source)
        try:
            return name or str(path), path.read_bytes()
        except OSError as error:
            raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if isinstance(source, (bytes, bytearray, memoryview)):
        return name or "audio bytes", bytes(source)
    if hasattr(source, "read"):
        data = source.read()
        label = name or str(getattr(source, "name", "audio file object"))
        if not isinstance(data, bytes):
            raise AudioError(f"{label}: opened as text; open it in binary mode ('rb')")
        return label, data
    if source is None:
        raise AudioError(f"{name or 'audio'}: expected audio, got None")
    return name or "audio array", source


def _checked_path(source: str | os.PathLike[str]) -> Path:
    text = os.fspath(source)
    if len(text) > 4096 or "\0" in text or "\n" in text:
        raise AudioError(f"{text[:60]!r}...: this is text, not the path of an audio file")
    path = Path(text)
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder; give a file")
        if not path.is_file():
            hint = " (to translate text, pass it as text)" if " " in text and not path.suffix else ""
            raise AudioError(f"{path}: no such file{hint}")
    except OSError as error:  # the name is too long for the file system
        raise AudioError(f"{text[:60]!r}...: not the path of an audio file ({error.strerror})") from error
    return path


def _decode(data: bytes, label: str) -> tuple[npt.NDArray[Any], int]:
    if not data:
        raise AudioError(f"{label}: the file is empty (0 bytes)")
    if reason := _cut_off(data):
        raise AudioError(f"{label}: the file is truncated ({reason})")
    try:
        file = sf.SoundFile(io.BytesIO(data))
    except (sf.SoundFileError, RuntimeError) as error:
        raise AudioError(_not_audio(label, data, error)) from error
    with file:
        promised, rate = file.frames, file.samplerate
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except (sf.SoundFileError, RuntimeError) as error:
            raise AudioError(f"{label}: the file is corrupted or truncated ({_reason(error)})") from error
    if 0 < promised < 2**62 and len(samples) < promised:
        raise AudioError(
            f"{label}: the file is corrupted or truncated: expected {promised} samples, got {len(samples)}"
        )
    # (n, channels) -> (n,) here, where the order of the axes is known
    return samples.mean(axis=1, dtype=np.float64), int(rate)


def _not_audio(label: str, data: bytes, error: Exception) -> str:
    if _looks_like_text(data[:256]):
        return f"{label}: this is text, not audio"
    return f"{label}: cannot be decoded as audio ({_reason(error)}); wav, flac, ogg, opus and mp3 can be read"


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")


def _looks_like_text(head: bytes) -> bool:
    if not head or head[:4] in (b"RIFF", b"fLaC", b"OggS", b"FORM") or head[:3] == b"ID3":
        return False
    try:
        # the excerpt may end inside a character
        text = head.decode("utf-8") if len(head) < 256 else head[:252].decode("utf-8", errors="ignore")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\r\n\t" for char in text)


def _cut_off(data: bytes) -> str:
    """Why a WAV or Ogg file is incomplete, or "". libsndfile reads incomplete files of both formats without error."""
    if data[:4] == b"RIFF" and len(data) >= 8:
        promised = struct.unpack("<I", data[4:8])[0]
        if promised not in _UNKNOWN_SIZES and promised + 8 > len(data) + 1:
            return f"{promised + 8} bytes by its header, got {len(data)}"
    if data[:4] == b"OggS":
        last = data.rfind(b"OggS")
        header = data[last : last + 27]
        if len(header) < 27 or len(data) < last + 27 + header[26]:
            return "the last Ogg page is incomplete"
        page_bytes = 27 + header[26] + sum(data[last + 27 : last + 27 + header[26]])
        if last + page_bytes > len(data):
            return "the last Ogg page is incomplete"
        if not header[5] & 4:
            return "the last Ogg page is not marked as the end"
    return ""


def _from_array(source: Any, source_rate: float | None, sampling_rate: int, label: str) -> FloatArray:
    """Read an array exactly as the feature extractor does."""
    # Imported here: files are read without torch.
    from mu2slam_hf.models.modules_waveforms import read_waveforms

    try:
        (waveform,) = read_waveforms([source], source_rate or sampling_rate, sampling_rate)
    except (ValueError, TypeError) as error:
        raise AudioError(str(error).replace("audio[0]", label)) from error
    return np.asarray(waveform, dtype=np.float32)


def _checked(samples: npt.NDArray[Any], label: str) -> FloatArray:
    """`(n,)` of any float type, checked to be non-empty and finite."""
    if samples.size == 0:
        raise AudioError(f"{label}: has no samples")
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise AudioError(f"{label}: {bad} of {samples.size} samples are NaN or infinite")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _resample(samples: FloatArray, rate: int, target_rate: int) -> FloatArray:
    if rate == target_rate:
        return samples
    resampled = soxr.resample(samples, rate, target_rate, quality="HQ")
    # A clip shorter than one output sample would become empty.
    return np.asarray(resampled, dtype=np.float32) if len(resampled) else samples[:1]
