# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Audio by PyAV (the libraries of ffmpeg): MPEG audio, AAC, and the sound of videos, to the last packet.

Shapes: `n` samples, `c` channels.
"""

from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

import numpy as np

try:
    import av
except ImportError:  # only required for MPEG audio, AAC and videos
    av = None

# Containers that state their length; that of others (MPEG audio without a Xing header, AAC) is estimated.
_FORMATS_WITH_LENGTH = frozenset({"asf", "avi", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"})
_LENGTH_TOLERANCE_SECONDS = 0.1
# Frames before a part that are decoded for it: frames of MP3 and AAC refer to earlier ones.
_LEAD_SECONDS = 1.0


def is_pyav_installed() -> bool:
    """Whether `PacketDecoder` can be used."""
    return av is not None


def looks_like_mpeg_audio(head: bytes) -> bool:
    """Whether a file begins with a frame of MPEG audio, or with the tag that usually precedes one."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


class PacketDecoder:
    """The first audio stream of a file.

    Args:
        file: the open file, at any position; it must stay open.

    Attributes:
        rate: sampling rate in Hz.
        num_channels: number of channels of the stream.

    Raises:
        ValueError: the file cannot be decoded, or has no audio stream.
    """

    def __init__(self, file: BinaryIO) -> None:
        has_length = _has_xing_header(file)
        file.seek(0)
        try:
            # Titles in an unknown encoding do not matter.
            self._container = av.open(file, metadata_errors="ignore")
        except (av.error.FFmpegError, OSError) as error:
            raise ValueError(getattr(error, "strerror", None) or str(error)) from error
        if not self._container.streams.audio:
            self._container.close()
            raise ValueError("has no audio stream")
        self._stream: Any = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise ValueError("its codec is not known")
        self.rate = int(self._stream.rate)
        self.num_channels = len(self._stream.codec_context.layout.channels)
        self._stated_seconds = self._read_length(has_length)
        # More than two channels are mixed to two. Other formats, and frames with other properties, as in two files
        # that were joined, are converted.
        self._wanted = ("fltp", "mono" if self.num_channels == 1 else "stereo", self.rate)
        self._converted: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._num_packets = self._num_failures = 0
        self._reason = ""

    def _read_length(self, has_xing_header: bool) -> float | None:
        """Seconds by the header of the file; None if libavformat has estimated them, or for one of several streams."""
        if not has_xing_header and self._container.format.name not in _FORMATS_WITH_LENGTH:
            return None
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        duration = self._container.duration if len(self._container.streams) == 1 else None
        return None if duration is None else duration / av.time_base

    def blocks(
        self, block_seconds: float, start: int = 0, stop: int | None = None
    ) -> Generator[np.ndarray, None, str]:
        """Samples [start, stop), once.

        Yields:
            `(n, c)` float32, `c` at most 2.

        Returns:
            Why samples are missing, or "".
        """
        size, parts, position = 0, [], start
        try:
            for first, samples in self._read_samples(start):
                wanted = samples[max(0, start - first) : None if stop is None else max(0, stop - first)]
                parts.append(wanted)
                size += len(wanted)
                position = first + len(samples)
                if size >= block_seconds * self.rate:
                    yield np.concatenate(parts)
                    size, parts = 0, []
                if stop is not None and position >= stop:
                    break
        finally:
            self._container.close()
        if size:
            yield np.concatenate(parts)
        return self._find_problem(position / self.rate) if stop is None or position < stop else ""

    def _read_samples(self, start: int) -> Iterator[tuple[int, np.ndarray]]:
        """Decoded samples `(n, c)` and the position of the first of them, from shortly before `start` on.

        Positions are those in the whole stream. Packets before are read, but not decoded: few formats can be
        searched exactly, and reading 10 minutes takes 0.05 s.
        """
        origin, unit = self._stream.start_time or 0, self._stream.time_base
        needed = (start / self.rate - _LEAD_SECONDS) / unit + origin
        position: int | None = None if start else 0
        for packet in self._read_packets():
            if position is None and packet.pts is not None and packet.pts < needed:
                continue
            for frame in self._decode(packet, position is not None and position >= start):
                if position is None:
                    position = round((frame.pts - origin) * unit * self.rate) if frame.pts is not None else 0
                for samples in self._convert(frame):
                    yield position, samples
                    position += len(samples)
        for samples in self._convert(None):
            yield position or 0, samples

    def _read_packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except (av.error.FFmpegError, OSError) as error:
            self._num_failures += 1
            self._reason = error.strerror or str(error)

    def _decode(self, packet: Any, counts: bool) -> list[Any]:
        """The frames of a packet; of a damaged packet nothing, so that what follows is decoded."""
        self._num_packets += counts
        try:
            return list(packet.decode())
        except av.error.FFmpegError as error:
            if counts:
                self._num_failures += 1
                self._reason = error.strerror or str(error)
            return []

    def _convert(self, frame: Any) -> list[np.ndarray]:
        """Samples `(n, c)` of a frame; with None, what the resampler still has."""
        properties = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        converted: list[Any] = []
        if properties != self._converted:
            if self._resampler is not None:
                converted += self._resampler.resample(None)
            name, layout, rate = self._wanted
            needed = properties not in (None, self._wanted)
            self._resampler = av.AudioResampler(format=name, layout=layout, rate=rate) if needed else None
            self._converted = properties
        if frame is not None:
            converted += [frame] if self._resampler is None else self._resampler.resample(frame)
        return [piece.to_ndarray().T for piece in converted]

    def _find_problem(self, seconds: float) -> str:
        """Why a stream of which `seconds` were decoded is incomplete, or ""."""
        if self._num_failures:
            return f"{self._num_failures} of {self._num_packets} packets cannot be decoded: {self._reason}"
        stated = self._stated_seconds
        if stated is not None and seconds < stated - _LENGTH_TOLERANCE_SECONDS:
            return f"{stated:.2f} s by its header, got {seconds:.2f} s"
        return ""


def _has_xing_header(file: BinaryIO) -> bool:
    """Whether MPEG audio begins with a frame that states the length of the stream."""
    file.seek(0)
    head = file.read(10)
    tag_bytes = 0
    if head[:3] == b"ID3" and len(head) == 10:
        # four bytes of seven bits
        tag_bytes = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(tag_bytes)
    frame = file.read(64)
    return any(tag in frame for tag in (b"Xing", b"Info", b"VBRI"))
