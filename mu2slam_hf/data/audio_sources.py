# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings in any form, read in blocks at one sampling rate.

Shapes: `n` samples, `c` channels.
"""

import ipaddress
import numbers
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from huggingface_hub import get_session

from mu2slam_hf.data.recording_files import is_address
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_audio_files import (
    file_of,
    has_samples,
    is_decoder,
    is_seekable_file,
    read_decoder,
    stream_audio_file,
)
from mu2slam_hf.models.modules_waveforms import MAX_CHANNELS, read_waveforms

MAX_DOWNLOAD_BYTES = 2 << 30
"""Length of the longest file that is downloaded, decompressed."""
_MAX_REDIRECTS = 10
# A server may be silent for so long, and must send so much after that.
_READ_SECONDS = 30.0
_MIN_BYTES_PER_SECOND = 1000


def read_audio_source(
    source: Any, sampling_rate: int, *, source_rate: float | None = None, name: str | None = None
) -> np.ndarray:
    """All of a recording, mono.

    Args:
        source: see `stream_audio_source`.
        sampling_rate: rate of the result in Hz.
        source_rate: rate of an array in Hz, not used for files. Default: `sampling_rate`.
        name: name for error messages; default: the path.

    Returns:
        `(n,)` float32, at least one sample, finite.

    Raises:
        AudioError: the recording cannot be read.
    """
    blocks = [block[:, 0] for block in stream_audio_source(source, sampling_rate, source_rate=source_rate, name=name)]
    return np.concatenate(blocks) if len(blocks) > 1 else np.ascontiguousarray(blocks[0])


def stream_audio_source(
    source: Any,
    sampling_rate: int,
    *,
    source_rate: float | None = None,
    split_channels: bool = False,
    name: str | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> Iterator[np.ndarray]:
    """Blocks of a recording, so that an hour never is in memory at once.

    Args:
        source: path; http(s) URL; bytes of a file; binary file object, read in blocks if it can seek and is at its
            beginning; array of samples `(n,)`, `(n, c)` or `(c, n)`
            (see `read_waveforms`); mapping with `array` (or `raw`) and `sampling_rate`, or with `bytes` or `path`;
            an `AudioDecoder` of torchcodec, as in the rows of `datasets.Audio`; object whose method `read_audio()`
            returns one of these.
        sampling_rate: rate of the result in Hz.
        source_rate: rate of an array in Hz, not used for files. Default: `sampling_rate`.
        split_channels: keep the channels apart instead of averaging them.
        name: name for error messages; default: the path.
        on_damage: called with a message if a file is damaged or ends early; default: a warning.

    Yields:
        `(n, c)` float32, `c = 1` unless channels are split; at least one sample in all. The samples do not depend on
        the size of the blocks.

    Raises:
        AudioError: the file is missing, a folder, not audio, empty, or has NaN or infinite samples. A file that is
            damaged or ends early is used as far as it can be decoded, with a warning.
    """
    label, content = _locate(source, name)
    if isinstance(content, (str, os.PathLike, bytes)) or hasattr(content, "read"):
        yield from stream_audio_file(content, label, sampling_rate, split_channels, on_damage)
    else:
        yield _read_array(content, source_rate or sampling_rate, sampling_rate, split_channels, label)


def _locate(source: Any, name: str | None) -> tuple[str, Any]:
    """The name for messages, and a path, the bytes of a file, or an array (with its mapping, if any)."""
    if hasattr(source, "read_audio"):
        source = source.read_audio()
    if is_decoder(source):
        name = name or "the decoded audio"
        samples, rate = read_decoder(source, name)
        return name, {"array": samples, "sampling_rate": rate}
    if isinstance(source, Mapping):
        name = name or source.get("path")
        if has_samples(source):
            return name or "audio array", source
        inner = file_of(source)
        if inner is None:
            keys = ", ".join(map(repr, source)) or "none"
            raise AudioError(
                f"{name or 'audio'}: a mapping must contain `array` (or `raw`) and `sampling_rate`, or `bytes` or "
                f"`path`; got the keys {keys}"
            )
        return _locate(inner, name)
    if isinstance(source, str) and is_address(source):
        return name or source, _download(source)
    if isinstance(source, (str, os.PathLike)):
        return name or os.fspath(source), source
    if isinstance(source, (bytes, bytearray, memoryview)):
        return name or "audio bytes", bytes(source)
    if hasattr(source, "read"):
        label = name or str(getattr(source, "name", "audio file object"))
        if is_seekable_file(source):
            return label, source
        data = source.read()
        if not isinstance(data, bytes):
            raise AudioError(f"{label}: opened as text; open it in binary mode ('rb')")
        return label, data
    if source is None or isinstance(source, numbers.Number):
        raise AudioError(f"{name or 'audio array'}: expected audio, got {source!r}")
    return name or "audio array", source


def _download(url: str) -> bytes:
    """The content of a URL, unless the server takes too long or sends too much."""
    started, content = time.monotonic(), bytearray()
    try:
        with _open_address(url) as response:
            if response.is_error:
                raise AudioError(f"{url}: cannot be downloaded (HTTP {response.status_code} {response.reason_phrase})")
            for part in response.iter_bytes():
                content += part
                if len(content) > MAX_DOWNLOAD_BYTES:
                    raise AudioError(f"{url}: is larger than {MAX_DOWNLOAD_BYTES // 2**20} MB; download it first")
                seconds = time.monotonic() - started
                if seconds > _READ_SECONDS and len(content) < _MIN_BYTES_PER_SECOND * seconds:
                    raise AudioError(f"{url}: the server sends only {len(content) / seconds:.0f} bytes per second")
    except AudioError:
        raise
    except Exception as error:
        raise AudioError(f"{url}: cannot be downloaded ({str(error) or type(error).__name__})") from error
    return bytes(content)


@contextmanager
def _open_address(url: str) -> Iterator[Any]:
    """The response of a URL after its redirects, none of which may lead from a public into a private network."""
    address: Any = url
    with ExitStack() as stack:
        for _ in range(_MAX_REDIRECTS):
            response = stack.enter_context(
                get_session().stream("GET", address, follow_redirects=False, timeout=_READ_SECONDS)
            )
            if response.next_request is None:
                yield response
                return
            target = response.next_request.url
            if _is_private(target.host) and not _is_private(response.request.url.host):
                raise AudioError(f"{url}: leads to {target.host}, which is in a private network; give its address")
            address = target
    raise AudioError(f"{url}: has more than {_MAX_REDIRECTS} redirects")


def _is_private(host: str) -> bool:
    """Whether a name or number stands for a machine that only its own network reaches."""
    numbers = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    return any(not ipaddress.ip_address(number).is_global for number in numbers)


def _read_array(content: Any, source_rate: float, sampling_rate: int, split_channels: bool, label: str) -> np.ndarray:
    """An array `(n, c)` float32; mono exactly as the feature extractor reads it."""
    try:
        channels = _channels(content) if split_channels else [content]
        waveforms = read_waveforms(channels, source_rate, sampling_rate)
    except (ValueError, TypeError) as error:
        raise AudioError(str(error).replace("audio[0]", label)) from error
    return np.stack(waveforms, axis=1).astype(np.float32)


def _channels(content: Any) -> list[Any]:
    """One recording per channel; what is not `(n, c)` or `(c, n)` is left as it is, for `read_waveforms` to judge."""
    rate = {}
    whole = content
    if isinstance(content, Mapping):
        if "sampling_rate" not in content:
            return [content]
        rate = {"sampling_rate": content["sampling_rate"]}
        content = content["array"] if content.get("array") is not None else content["raw"]
    samples = content if hasattr(content, "ndim") else np.asarray(content)
    if samples.ndim != 2 or not 0 < min(samples.shape) <= MAX_CHANNELS or samples.shape[0] == samples.shape[1]:
        return [whole]
    rows = list(samples.T if samples.shape[0] > samples.shape[1] else samples)
    return [{"array": row, **rate} if rate else row for row in rows]
