# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Samples of open audio files by soundfile or PyAV, to the true end of the stream.

A file that is damaged or ends early is used as far as it goes, with a warning. The lengths that libsndfile states for
MPEG audio without a Xing header are estimates, so PyAV reads MPEG audio where it is installed.

Shapes: `n` samples, `c` channels.
"""

import os
import struct
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

import numpy as np
from transformers.utils import logging

from .modules_audio_packets import PacketDecoder, is_pyav_installed, looks_like_mpeg_audio

try:
    import soundfile
except ImportError:  # not required for arrays
    soundfile = None

logger = logging.get_logger(__name__)

# Sampling rates in Hz of files that are read.
MIN_RATE, MAX_RATE = 1000, 768_000

BLOCK_SECONDS = 30.0
_UNKNOWN_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000})
# The largest page of an Ogg stream has 65,307 bytes.
_TAIL_BYTES = 2 * 65_536
_OPUS_RATES = frozenset({8_000, 12_000, 16_000, 24_000})
_SFC_SET_ORIGINAL_SAMPLERATE = 0x1500  # of sndfile.h


class AudioError(ValueError):
    """Invalid audio; the message contains the file and the reason."""


class AudioReader:
    """An open audio file; its samples can be read once.

    Args:
        file: the open file, at its beginning; it must stay open.
        label: name for messages.
        wanted_rate: a rate in Hz at which the file is decoded if that costs less than its own.
        on_damage: called with a message if the file is damaged or ends early; default: a warning.

    Attributes:
        rate: sampling rate of the blocks in Hz.
        num_channels: number of channels of the file.

    Raises:
        AudioError: the file is empty, or it is not audio.
    """

    def __init__(
        self,
        file: BinaryIO,
        label: str,
        wanted_rate: int | None = None,
        on_damage: Callable[[str], None] | None = None,
    ) -> None:
        self._label, self._on_damage = label, on_damage or logger.warning
        head = file.read(256)
        if not head:
            raise AudioError(f"{label}: the file is empty (0 bytes)")
        self._problem = find_truncation(file)
        self._decoder = self._open(file, head, wanted_rate)
        self.rate = self._decoder.rate
        if not MIN_RATE <= self.rate <= MAX_RATE:
            # Of a damaged header: resampled, a short file would become hours.
            raise AudioError(f"{label}: has a sampling rate of {self.rate} Hz; expected {MIN_RATE} to {MAX_RATE}")
        self.num_channels = self._decoder.num_channels

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Samples [start, stop), as far as the file has them.

        Yields:
            `(n, c)` float32, not empty.

        Raises:
            AudioError: the file is damaged, and nothing of it can be decoded.
        """
        num_samples = 0
        decoded = self._decoder.blocks(BLOCK_SECONDS, start, stop)
        problem = ""
        while True:
            try:
                block = next(decoded)
            except StopIteration as end:
                problem = end.value
                break
            num_samples += len(block)
            yield block
        problem = problem or (self._problem if stop is None else "")
        if problem and not num_samples and not start:
            raise AudioError(f"{self._label}: the file is corrupted or truncated ({problem})")
        if problem:
            seconds = (start + num_samples) / self.rate
            self.report(
                f"the file is corrupted or truncated ({problem}); the {seconds:.2f} s that can be decoded are used"
            )

    def report(self, message: str) -> None:
        """Report what is wrong with the file, but does not keep it from being used."""
        self._on_damage(f"{self._label}: {message}")

    def measure_seconds(self) -> float:
        """The duration; the file is decoded unless its format states it."""
        stated = self._decoder.num_samples if isinstance(self._decoder, _SoundfileDecoder) else None
        if stated is None:
            stated = sum(map(len, self._decoder.blocks(BLOCK_SECONDS)))
        if not stated:
            raise AudioError(f"{self._label}: has no samples")
        return stated / self.rate

    def _open(self, file: BinaryIO, head: bytes, wanted_rate: int | None) -> "_SoundfileDecoder | PacketDecoder":
        """The decoder by soundfile or, for MPEG audio and for what it does not read, by PyAV."""
        label, has_pyav = self._label, is_pyav_installed()
        if soundfile is None and not has_pyav:
            raise AudioError(
                f"{label}: reading audio files requires the package soundfile (pip install soundfile); or pass "
                'samples as a mapping {"array": samples, "sampling_rate": rate}'
            )
        is_mpeg = looks_like_mpeg_audio(head)
        reason = "soundfile is not installed"
        if is_mpeg and has_pyav:
            try:
                return PacketDecoder(file)
            except ValueError as error:  # perhaps it only begins like MPEG audio
                reason = str(error)
        if soundfile is not None:
            file.seek(0)
            try:
                decoder = _SoundfileDecoder(file, wanted_rate, estimates_length=is_mpeg)
            except (soundfile.SoundFileError, RuntimeError) as error:
                reason = reason if is_mpeg and has_pyav else describe_decoding_error(error)
            else:
                if is_mpeg and not has_pyav:
                    self._on_damage(
                        f"{label}: without the package av (pip install av), MPEG audio is only read to its estimated "
                        "length, and the end can be missing"
                    )
                return decoder
        if looks_like_text(head):
            raise AudioError(f"{label}: this is text, not audio")
        reason = f"the file is truncated: {self._problem}" if self._problem else reason
        if not has_pyav:
            raise AudioError(
                f"{label}: cannot be decoded as audio ({reason}); wav, flac, ogg and opus can be read, and with the "
                "package av (pip install av) also mp3, mp4, m4a, webm and other formats"
            )
        try:
            return PacketDecoder(file)
        except ValueError as error:
            if "no audio stream" in str(error):
                raise AudioError(f"{label}: {error}") from error
            raise AudioError(f"{label}: cannot be decoded as audio ({reason})") from error


class _SoundfileDecoder:
    """A file that libsndfile reads; see `PacketDecoder` for the interface.

    Args:
        file: the open file, at its beginning.
        wanted_rate: as in `AudioReader`.
        estimates_length: the length that libsndfile states is an estimate.
    """

    def __init__(self, file: BinaryIO, wanted_rate: int | None, estimates_length: bool) -> None:
        self._file = _ClampedFile(file)
        self._decoder = soundfile.SoundFile(self._file)
        self.rate = _set_opus_rate(self._decoder, wanted_rate)
        self.num_channels = int(self._decoder.channels)
        # A huge number means that the length is not known in advance.
        known = not estimates_length and 0 <= self._decoder.frames < 2**62
        self._stated = self._decoder.frames * self.rate // self._decoder.samplerate if known else None

    @property
    def num_samples(self) -> int | None:
        """Length by the header of the file; None if it has none, or if the end is missing."""
        if not self._stated:
            return self._stated
        try:
            self._decoder.seek(self._decoder.frames - 1)
            is_whole = len(self._decoder.read(1)) == 1
            self._decoder.seek(0)
        except (soundfile.SoundFileError, RuntimeError):
            is_whole = False
        if not is_whole:
            self._file.seek(0)
            self._decoder = soundfile.SoundFile(self._file)
        return self._stated if is_whole else None

    def blocks(
        self, block_seconds: float, start: int = 0, stop: int | None = None
    ) -> Generator[np.ndarray, None, str]:
        """As `PacketDecoder.blocks`; after a damaged block of samples, PyAV decodes the rest if it is installed."""
        size, position = int(block_seconds * self.rate), start
        with self._decoder as decoder:
            if start:
                if self._stated is not None and start >= self._stated:
                    return ""
                decoder.seek(start)
            while stop is None or position < stop:
                wanted = size if stop is None else min(size, stop - position)
                try:
                    block = decoder.read(wanted, dtype="float32", always_2d=True)
                except (soundfile.SoundFileError, RuntimeError) as error:
                    problem = describe_decoding_error(error)
                    if is_pyav_installed():
                        problem = (yield from self._blocks_by_pyav(block_seconds, position, stop)) or problem
                    return problem
                position += len(block)
                if len(block):
                    yield block
                if len(block) < wanted:
                    break
        if stop is None and self._stated is not None and position < self._stated:
            return f"expected {self._stated} samples, got {position}"
        return ""

    def _blocks_by_pyav(self, block_seconds: float, start: int, stop: int | None) -> Generator[np.ndarray, None, str]:
        try:
            decoder = PacketDecoder(self._file)
        except ValueError as error:
            return str(error)
        return (yield from decoder.blocks(block_seconds, start, stop))


class _ClampedFile:
    """An open file in which a place before its beginning, where damaged headers lead, is its beginning.

    libsndfile calls `seek` by a function of cffi, which prints the traceback of an error and goes on.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OSError):
            return self._file.seek(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


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
    """Why a file is incomplete, or "". libsndfile reads incomplete files of many formats without an error."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(28)
    promised = _read_promised_size(file, head.ljust(28, b"\0"))
    if promised is not None and promised > size + 1:
        return f"{promised} bytes by its header, got {size}"
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


def _read_promised_size(file: BinaryIO, head: bytes) -> int | None:
    """Number of bytes that the header of a WAV, RF64, W64, AIFF, AU or CAF file states; None if there is none."""
    match head[:4]:
        case b"RIFF" | b"FORM":
            (stated,) = struct.unpack_from("<I" if head[:4] == b"RIFF" else ">I", head, 4)
            return None if stated in _UNKNOWN_SIZES else stated + 8
        case b"RF64" | b"BW64":
            return struct.unpack_from("<Q", head, 20)[0] + 8 if head[12:16] == b"ds64" else None
        case b"riff":
            return struct.unpack_from("<Q", head, 16)[0] or None
        case b".snd":
            start, stated = struct.unpack_from(">II", head, 4)
            return None if stated in _UNKNOWN_SIZES else start + stated
        case b"caff":
            place = 8
            while file.seek(place) == place and len(chunk := file.read(12)) == 12:
                name, stated = struct.unpack(">4sq", chunk)
                if stated < 0:  # up to the end of the file
                    return None
                place += 12 + stated
                if name == b"data":
                    return place
    return None
