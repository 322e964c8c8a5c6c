# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Decoding of recordings that are not arrays yet: rows of `datasets.Audio`, and decoders of torchcodec.

Without torchcodec, `datasets` cannot decode: `dataset.cast_column("audio", Audio(decode=False))` then gives rows that
are decoded here.

Shapes: n samples, c channels.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from .modules_audio_decoders import AudioError
from .modules_audio_files import read_audio_file


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
