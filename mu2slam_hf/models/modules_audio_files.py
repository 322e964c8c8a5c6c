# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Audio files in many formats, read in blocks at one sampling rate, with errors that name the file.

Shapes: `n` samples, `c` channels.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .modules_audio_decoders import AudioError, AudioReader

try:
    import soxr
except ImportError:  # only required for audio at another rate than the model's
    soxr = None
from collections.abc import Mapping


def stream_audio_file(
    content: str | os.PathLike | bytes | BinaryIO,
    label: str,
    sampling_rate: int,
    split_channels: bool = False,
    on_damage: Callable[[str], None] | None = None,
) -> Iterator[np.ndarray]:
    """Blocks of a file.

    Args:
        content: the path of the file, its bytes, or the open file, which is not closed.
        label: name for error messages.
        sampling_rate: rate of the result in Hz.
        split_channels: keep the channels apart instead of averaging them.
        on_damage: see `AudioReader`.

    Yields:
        `(n, c)` float32.

    Raises:
        AudioError: see `stream_audio_source`.
    """
    with _open(content, label) as file:
        yield from _decode(AudioReader(file, label, sampling_rate, on_damage), label, sampling_rate, split_channels)


class ChannelMix:
    """Averages the channels of the blocks of a file, and notices where they cancel each other out.

    The two wires of a balanced cable, recorded as two channels, have the same sound with opposite signs: their mean is
    silence.
    """

    # Choice: uncorrelated channels lose 3 dB by averaging, opposite ones all but what differs.
    _LEAST_SHARE = 0.01

    def __init__(self) -> None:
        self._energy = self._channel_energy = 0.0

    def add(self, block: np.ndarray) -> np.ndarray:
        """The mean of the channels of a block `(n, c)`, `(n, 1)` float64."""
        mean: np.ndarray = block.mean(axis=1, dtype=np.float64, keepdims=True)
        if block.shape[1] > 1:
            self._energy += float(np.square(mean).sum())
            self._channel_energy += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
        return mean

    def report(self, on_damage: Callable[[str], None]) -> None:
        """Call a function with a message if less than a hundredth of the energy of the channels is left."""
        if self._energy < self._LEAST_SHARE * self._channel_energy:
            on_damage("its channels cancel each other out when they are averaged; `--channels` reads each by itself")


def read_audio_file(
    content: str | os.PathLike | bytes, label: str, start_seconds: float = 0.0, end_seconds: float | None = None
) -> tuple[np.ndarray, int]:
    """Mono samples `(n,)` float32 of a file, or of a part of it, at its own rate, and the rate.

    Raises:
        AudioError: see `stream_audio_source`; or the file ends before the part begins.
    """
    with _open(content, label) as file:
        reader = AudioReader(file, label)
        stop = None if end_seconds is None else round(end_seconds * reader.rate)
        blocks = reader.blocks(round(start_seconds * reader.rate), stop)
        mix = ChannelMix()
        samples = [mix.add(block)[:, 0].astype(np.float32) for block in blocks]
        mix.report(reader.report)
    if not samples and (start_seconds or end_seconds is not None):
        raise AudioError(
            f"{label}: no samples from {start_seconds:.2f} s to {end_seconds:.2f} s, the recording has "
            f"{measure_audio_file(content, label):.2f} s"
        )
    if not samples:
        raise AudioError(f"{label}: has no samples")
    return np.concatenate(samples), reader.rate


def measure_audio_file(content: str | os.PathLike | bytes, label: str) -> float:
    """Duration of a file in seconds, as decoding gives it; only the header is read where it states the length.

    Raises:
        AudioError: see `stream_audio_source`.
    """
    with _open(content, label) as file:
        return AudioReader(file, label).measure_seconds()


def read_audio_format(content: str | os.PathLike | bytes, label: str) -> tuple[int, int]:
    """Sampling rate in Hz and number of channels of a file."""
    with _open(content, label) as file:
        reader = AudioReader(file, label)
        return reader.rate, reader.num_channels


def check_audio_path(source: str | os.PathLike) -> Path:
    """The path of a file.

    Raises:
        AudioError: it is a folder, there is no such file, or it is not a path at all.
    """
    text = os.fspath(source)
    if len(text) > 4096 or "\0" in text or ("\n" in text and not os.path.exists(text)):
        raise AudioError(f"{text[:60]!r}...: this is text, not the path of an audio file")
    path = Path(text)
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder, not an audio file; give a file")
        if not path.is_file():
            hint = " (to translate text, pass it as text)" if " " in text and not path.suffix else ""
            raise AudioError(f"{path}: no such file{hint}")
    except OSError as error:  # the name is too long for the file system
        raise AudioError(f"{text[:60]!r}...: not the path of an audio file ({error.strerror})") from error
    return path


def _open(source: str | os.PathLike | bytes | BinaryIO, label: str) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if not isinstance(source, (str, os.PathLike)):
        return nullcontext(source)
    path = check_audio_path(source)
    try:
        return path.open("rb")
    except OSError as error:
        raise AudioError(f"{label}: cannot be read ({error.strerror})") from error


def _decode(reader: AudioReader, label: str, sampling_rate: int, split_channels: bool) -> Iterator[np.ndarray]:
    """Blocks `(n, c)` float32 at `sampling_rate` of an open file."""
    results = 0
    resampler = None
    mix = ChannelMix()
    try:
        for block in reader.blocks():
            samples = block if split_channels else mix.add(block)
            if not np.isfinite(samples).all():
                bad = int((~np.isfinite(samples)).sum())
                raise AudioError(f"{label}: {bad} of {samples.size} samples are NaN or infinite")
            samples = np.ascontiguousarray(samples, dtype=np.float32)
            results += len(samples)
            if reader.rate != sampling_rate:
                if resampler is None:
                    resampler = _build_resampler(reader.rate, sampling_rate, samples.shape[1], label)
                last_input, samples = samples, resampler.resample_chunk(samples)
            if len(samples):
                yield samples
        if not results:
            raise AudioError(f"{label}: has no samples")
        mix.report(reader.report)
        if resampler is not None:
            rest = resampler.resample_chunk(last_input[:0], last=True)
            if len(rest):
                yield rest
            elif round(results * sampling_rate / reader.rate) == 0:
                # A clip shorter than one output sample would become empty.
                yield last_input[:1]
    finally:
        # A resampler that the traceback of an error keeps alive until Python ends is reported as a leak.
        resampler = None


def _build_resampler(rate: int, sampling_rate: int, num_channels: int, label: str) -> Any:
    if soxr is None:
        raise AudioError(
            f"{label}: has {rate} Hz, but the model expects {sampling_rate} Hz. Resampling requires the package soxr "
            "(pip install soxr)"
        )
    return soxr.ResampleStream(rate, sampling_rate, num_channels, dtype="float32", quality="HQ")


def is_encoded(item: Any) -> bool:
    """Whether a recording is a row of `datasets.Audio(decode=False)` (`bytes`, `path`) or a decoder of torchcodec."""
    if isinstance(item, Mapping):
        return not has_samples(item) and file_of(item) is not None
    return is_decoder(item)


def has_samples(row: Mapping) -> bool:
    """Whether a mapping has the samples of a recording, in `array` or `raw`."""
    return row.get("array") is not None or row.get("raw") is not None


def file_of(row: Mapping) -> bytes | str | os.PathLike | None:
    """The content of the file of a row of `datasets.Audio(decode=False)`, else its path, else None."""
    return row.get("path") if row.get("bytes") is None else row["bytes"]


def is_seekable_file(item: Any) -> bool:
    """Whether an object is an open binary file that can seek, at its beginning."""
    try:
        return bool(item.seekable()) and item.tell() == 0 and isinstance(item.read(0), bytes)
    except (AttributeError, OSError, ValueError):
        return False


def is_decoder(item: Any) -> bool:
    """Whether an object is a `torchcodec.decoders.AudioDecoder`, or behaves like one."""
    return callable(getattr(item, "get_all_samples", None))


def read_decoder(decoder: Any, name: str) -> tuple[np.ndarray, float]:
    """Samples and rate of a decoder.

    Args:
        decoder: an object for which `is_decoder` holds.
        name: name of the recording in errors.

    Returns:
        samples `(c, n)` float32, or `(n,)` if the decoder returns a vector; the rate in Hz.

    Raises:
        AudioError: the decoder fails.
    """
    try:
        samples = decoder.get_all_samples()
    except Exception as error:  # of any kind, from the libraries behind it
        raise AudioError(f"{name}: the decoder {type(decoder).__name__} failed ({error}).") from error
    return np.asarray(samples.data, dtype=np.float32), float(samples.sample_rate)


def decode_recording(item: Any, name: str) -> tuple[np.ndarray, float]:
    """Mono samples and rate of a recording for which `is_encoded` holds; channels are averaged.

    Args:
        item: a row of `datasets.Audio(decode=False)`, or a decoder.
        name: name of the recording in errors.

    Returns:
        samples `(n,)` float32; the rate in Hz.

    Raises:
        AudioError: the audio cannot be decoded; the message contains the name, the file and the reason.
    """
    if is_decoder(item):
        samples, rate = read_decoder(item, name)
        return samples.mean(axis=0) if samples.ndim == 2 else samples, rate
    path, file = item.get("path"), file_of(item)
    name = name if path is None else f"{name} ({path})"
    try:
        return read_audio_file(file if isinstance(file, (str, os.PathLike)) else bytes(file), name)
    except AudioError as error:
        # Errors about a path name the path only.
        raise AudioError(f"{name}: {str(error).removeprefix(f'{name}: ').removeprefix(f'{path}: ')}") from error
