# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Audio files in many formats, read in blocks at one sampling rate, with errors that name the file.

Shapes: `n` samples, `c` channels.
"""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

try:
    import soundfile
except ImportError:  # not required for arrays
    soundfile = None
try:
    import soxr
except ImportError:  # only required for audio at another rate than the model's
    soxr = None
try:
    import av
except ImportError:  # only required for the audio of videos and for AAC
    av = None

BLOCK_SECONDS = 30.0
_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000})
# The largest page of an Ogg stream has 65,307 bytes.
_TAIL_BYTES = 2 * 65_536
_OPUS_RATES = frozenset({8_000, 12_000, 16_000, 24_000})
_SFC_SET_ORIGINAL_SAMPLERATE = 0x1500  # of sndfile.h


class AudioError(ValueError):
    """Invalid audio; the message contains the file and the reason."""


def stream_audio_file(
    content: str | os.PathLike | bytes, label: str, sampling_rate: int, split_channels: bool = False
) -> Iterator[np.ndarray]:
    """Blocks of a file.

    Args:
        content: the path of the file, or its bytes.
        label: name for error messages.
        sampling_rate: rate of the result in Hz.
        split_channels: keep the channels apart instead of averaging them.

    Yields:
        `(n, c)` float32.

    Raises:
        AudioError: see `stream_audio_source`.
    """
    with io.BytesIO(content) if isinstance(content, bytes) else _open(content, label) as file:
        yield from _decode(file, label, sampling_rate, split_channels)


def read_audio_file(content: str | os.PathLike | bytes, label: str) -> tuple[np.ndarray, int]:
    """Mono samples `(n,)` float32 of a file at its own rate, and the rate; see `stream_audio_file`."""
    with io.BytesIO(content) if isinstance(content, bytes) else _open(content, label) as file:
        rate, blocks = _open_decoder(file, label)
        samples = [block.mean(axis=1, dtype=np.float64).astype(np.float32) for block in blocks]
    if not samples:
        raise AudioError(f"{label}: has no samples")
    return np.concatenate(samples), rate


def check_audio_path(source: str | os.PathLike) -> Path:
    """The path of a file.

    Raises:
        AudioError: it is a folder, there is no such file, or it is not a path at all.
    """
    text = os.fspath(source)
    if len(text) > 4096 or "\0" in text or "\n" in text:
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


def _open(source: str | os.PathLike, label: str) -> BinaryIO:
    path = check_audio_path(source)
    try:
        return path.open("rb")
    except OSError as error:
        raise AudioError(f"{label}: cannot be read ({error.strerror})") from error


def _decode(file: BinaryIO, label: str, sampling_rate: int, split_channels: bool) -> Iterator[np.ndarray]:
    """Blocks `(n, c)` float32 at `sampling_rate` of an open file."""
    rate, blocks = _open_decoder(file, label, sampling_rate)
    found = 0
    resampler = None
    for block in blocks:
        samples = block if split_channels else block.mean(axis=1, dtype=np.float64, keepdims=True)
        if not np.isfinite(samples).all():
            bad = int((~np.isfinite(samples)).sum())
            raise AudioError(f"{label}: {bad} of {samples.size} samples are NaN or infinite")
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        found += len(samples)
        if rate != sampling_rate:
            if resampler is None:
                resampler = _build_resampler(rate, sampling_rate, samples.shape[1], label)
            last_input, samples = samples, resampler.resample_chunk(samples)
        if len(samples):
            yield samples
    if not found:
        raise AudioError(f"{label}: has no samples")
    if resampler is not None:
        rest = resampler.resample_chunk(last_input[:0], last=True)
        if len(rest):
            yield rest
        elif round(found * sampling_rate / rate) == 0:
            # A clip shorter than one output sample would become empty.
            yield last_input[:1]


def _build_resampler(rate: int, sampling_rate: int, num_channels: int, label: str) -> Any:
    if soxr is None:
        raise AudioError(
            f"{label}: has {rate} Hz, but the model expects {sampling_rate} Hz. Resampling requires the package soxr "
            "(pip install soxr)"
        )
    return soxr.ResampleStream(rate, sampling_rate, num_channels, dtype="float32", quality="HQ")


def _open_decoder(file: BinaryIO, label: str, wanted_rate: int | None = None) -> tuple[int, Iterator[np.ndarray]]:
    """Sampling rate and blocks `(n, c)` float32, by soundfile or, for what it does not read, by PyAV.

    The rate is that of the file, or `wanted_rate` if the decoder has it at less cost.
    """
    head = file.read(256)
    if not head:
        raise AudioError(f"{label}: the file is empty (0 bytes)")
    if reason := find_truncation(file):
        raise AudioError(f"{label}: the file is truncated ({reason})")
    file.seek(0)
    if soundfile is None and av is None:
        raise AudioError(
            f"{label}: reading audio files requires the package soundfile (pip install soundfile); or pass samples as "
            'a mapping {"array": samples, "sampling_rate": rate}'
        )
    reason = "soundfile is not installed"
    if soundfile is not None:
        try:
            decoder = soundfile.SoundFile(file)
        except (soundfile.SoundFileError, RuntimeError) as error:
            reason = describe_decoding_error(error)
        else:
            rate = _set_opus_rate(decoder, wanted_rate)
            return rate, _soundfile_blocks(decoder, label, rate)
    if looks_like_text(head):
        raise AudioError(f"{label}: this is text, not audio")
    if av is None:
        raise AudioError(
            f"{label}: cannot be decoded as audio ({reason}); wav, flac, ogg, opus and mp3 can be read, and with the "
            'package av (pip install "mu2slam-hf[av]") also mp4, m4a, webm and other formats'
        )
    file.seek(0)
    try:
        # Titles in an unknown encoding do not matter.
        container = av.open(file, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise AudioError(f"{label}: cannot be decoded as audio ({reason})") from error
    if not container.streams.audio:
        raise AudioError(f"{label}: has no audio stream")
    stream = container.streams.audio[0]
    return int(stream.rate), _av_blocks(container, stream, label)


def _set_opus_rate(decoder: Any, wanted_rate: int | None) -> int:
    """The rate of what a `SoundFile` gives; an Opus file of a higher rate than wanted is decoded at the wanted one.

    Opus has no rate of its own: libsndfile decodes at the one that the header names for players, usually 48 kHz.
    Decoding speech at 16 kHz takes 0.75 of that time, and is not followed by resampling. soundfile has no function for
    the command of libsndfile; where it does not know it, the file is decoded as it is.
    """
    rate = int(decoder.samplerate)
    if wanted_rate not in _OPUS_RATES or wanted_rate >= rate or decoder.subtype != "OPUS":
        return rate
    try:
        value = soundfile._ffi.new("int *", wanted_rate)
        done = soundfile._snd.sf_command(decoder._file, _SFC_SET_ORIGINAL_SAMPLERATE, value, 4)
    except (AttributeError, TypeError):  # another version of soundfile
        return rate
    return wanted_rate if done else rate


def _soundfile_blocks(decoder: Any, label: str, rate: int) -> Iterator[np.ndarray]:
    """Blocks of a decoder whose samples have this rate, which may be lower than `decoder.samplerate`."""
    size = int(BLOCK_SECONDS * rate)
    # The length of a stream (opus, mp3) is not always known in advance; it is then reported as a huge number.
    promised, found = decoder.frames, 0
    if promised < 2**62:
        promised = promised * rate // decoder.samplerate
    with decoder:
        while True:
            try:
                block = decoder.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise AudioError(
                    f"{label}: the file is corrupted or truncated ({describe_decoding_error(error)})"
                ) from error
            found += len(block)
            if len(block):
                yield block
            if len(block) < size:
                break
    if 0 < promised < 2**62 and found < promised:
        raise AudioError(f"{label}: the file is corrupted or truncated: expected {promised} samples, got {found}")


def _av_blocks(container: Any, stream: Any, label: str) -> Iterator[np.ndarray]:
    layout = "mono" if stream.channels == 1 else "stereo"
    resampler = av.AudioResampler(format="flt", layout=layout, rate=stream.rate)
    num_channels, parts, num_samples = (1 if layout == "mono" else 2), [], 0
    try:
        frames: Iterator[Any] = (out for frame in container.decode(stream) for out in resampler.resample(frame))
        for frame in frames:
            parts.append(frame.to_ndarray().reshape(-1, num_channels))
            num_samples += len(parts[-1])
            if num_samples >= BLOCK_SECONDS * stream.rate:
                yield np.concatenate(parts)
                parts, num_samples = [], 0
        parts += [out.to_ndarray().reshape(-1, num_channels) for out in resampler.resample(None)]
    except av.error.FFmpegError as error:
        raise AudioError(f"{label}: the file is corrupted or truncated ({error})") from error
    finally:
        container.close()
    if parts:
        yield np.concatenate(parts)


def describe_decoding_error(error: Exception) -> str:
    """The reason that libsndfile gives."""
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")


def looks_like_text(head: bytes) -> bool:
    """Whether the first (up to 256) bytes of a file are text."""
    if not head or head[:4] in (b"RIFF", b"fLaC", b"OggS", b"FORM") or head[:3] == b"ID3":
        return False
    try:
        # the excerpt may end inside a character
        text = head.decode("utf-8") if len(head) < 256 else head[:252].decode("utf-8", errors="ignore")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\r\n\t" for char in text)


def find_truncation(file: BinaryIO) -> str:
    """Why a WAV or Ogg file is incomplete, or "". libsndfile reads incomplete files of both formats without error."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    if head[:4] == b"RIFF" and len(head) == 8:
        promised = struct.unpack("<I", head[4:8])[0]
        if promised not in _UNKNOWN_SIZES and promised + 8 > size + 1:
            return f"{promised + 8} bytes by its header, got {size}"
    if head[:4] == b"OggS":
        file.seek(max(0, size - _TAIL_BYTES))
        data = file.read()
        last = data.rfind(b"OggS")
        header = data[last : last + 27]
        if last < 0 or len(header) < 27 or len(data) < last + 27 + header[26]:
            return "the last Ogg page is incomplete"
        page_bytes = 27 + header[26] + sum(data[last + 27 : last + 27 + header[26]])
        if last + page_bytes > len(data):
            return "the last Ogg page is incomplete"
        if not header[5] & 4:
            return "the last Ogg page is not marked as the end"
    return ""
