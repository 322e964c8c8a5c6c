# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Decoding of recordings that are not arrays yet: rows of `datasets.Audio`, and decoders of torchcodec.

Without torchcodec, `datasets` cannot decode: `dataset.cast_column("audio", Audio(decode=False))` then gives rows that
are decoded here.

Shapes: n samples, c channels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .modules_audio_files import AudioError, read_audio_file


def is_encoded(item: Any) -> bool:
    """Whether a recording is a row of `datasets.Audio(decode=False)` (`bytes`, `path`) or a decoder of torchcodec."""
    if isinstance(item, Mapping):
        has_samples = item.get("array") is not None or item.get("raw") is not None
        return not has_samples and (item.get("bytes") is not None or item.get("path") is not None)
    return is_decoder(item)


def is_decoder(item: Any) -> bool:
    """Whether an object is a `torchcodec.decoders.AudioDecoder`, or behaves like one."""
    return callable(getattr(item, "get_all_samples", None))


def decode_recording(item: Any, name: str) -> tuple[np.ndarray, float]:
    """Mono samples and rate of a recording for which `is_encoded` holds; channels are averaged.

    Args:
        item: a row of `datasets.Audio(decode=False)`, or a decoder.
        name: name of the recording in errors.

    Returns:
        samples `(n,)` float32; the rate in Hz.

    Raises:
        ValueError: the audio cannot be decoded; the message contains the name, the file and the reason.
    """
    if is_decoder(item):
        try:
            samples = item.get_all_samples()
        except Exception as error:  # of any kind, from the libraries behind it
            raise ValueError(f"{name}: the decoder {type(item).__name__} failed ({error}).") from error
        data = np.asarray(samples.data, dtype=np.float32)
        return data.mean(axis=0) if data.ndim == 2 else data, float(samples.sample_rate)
    path, data = item.get("path"), item.get("bytes")
    name = name if path is None else f"{name} ({path})"
    try:
        return read_audio_file(path if data is None else bytes(data), name)
    except AudioError as error:
        # Errors about a path name the path only.
        raise AudioError(f"{name}: {str(error).removeprefix(f'{name}: ').removeprefix(f'{path}: ')}") from error
