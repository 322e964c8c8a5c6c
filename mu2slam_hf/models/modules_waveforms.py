# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Conversion of audio in many forms to mono float waveforms at one sampling rate, with descriptive errors.

Shapes: `n` samples, `c` channels. A waveform is a float64 numpy array `(n,)` in [-1, 1] (slightly exceeded after
    resampling).
"""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from .modules_audio_files import decode_recording, is_encoded

try:
    import soxr
except ImportError:  # only required for audio at another rate than the model's
    soxr = None


logger = logging.get_logger(__name__)

# Choice: an array with more channels than this is a batch or a feature matrix, not a recording.
MAX_CHANNELS = 8
# Float samples above this are integer PCM that was cast to float without scaling.
MAX_FLOAT_AMPLITUDE = 100.0
MIN_SAMPLING_RATE = 2000

# Full scale of each integer type; uint8 is centred at 128 as in WAV files.
_INTEGER_FULL_SCALE = {"int8": 2.0**7, "uint8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}


def check_sampling_rate(sampling_rate: Any, where: str = "sampling_rate") -> float:
    """Check a sampling rate in Hz and convert it to float.

    Raises:
        ValueError: not a positive finite number, or so low that it is probably in kHz.
    """
    is_number = isinstance(sampling_rate, numbers.Real) and not isinstance(sampling_rate, bool)
    if not is_number or not math.isfinite(sampling_rate) or sampling_rate <= 0:
        raise ValueError(f"{where} must be a positive number in Hz, got {sampling_rate!r}.")
    if sampling_rate < MIN_SAMPLING_RATE:
        raise ValueError(
            f"{where}={sampling_rate} Hz is below the minimum of {MIN_SAMPLING_RATE} Hz. Pass the rate in Hz, not kHz "
            "(for example 16000)."
        )
    return float(sampling_rate)


def resample_waveform(waveform: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """Band-limited resampling.

    Args:
        waveform: `(n,)` float.
        from_rate: rate of `waveform` in Hz.
        to_rate: rate of the result in Hz.

    Returns:
        `(max(1, about n * to_rate / from_rate),)` of the same dtype, never empty.

    Raises:
        ValueError: the rates differ and soxr is not installed.
    """
    if from_rate == to_rate:
        return waveform
    if soxr is None:
        raise ValueError(
            f"The audio has {from_rate:g} Hz, but the model expects {to_rate:g} Hz. Resampling requires the package "
            "soxr (pip install soxr); install it or resample the audio first."
        )
    resampled = soxr.resample(waveform, from_rate, to_rate)
    return resampled if resampled.size else waveform[:1]


def read_waveforms(audio: Any, sampling_rate: float | None, target_rate: float) -> list[np.ndarray]:
    """One mono float64 waveform per recording.

    Args:
        audio: one recording or a sequence of recordings. A recording is a numpy array or torch tensor `(n,)`,
            `(n, c)` or `(c, n)`, a list of floats, or a mapping with `array` (or `raw`) and `sampling_rate`; or a row
            of a `datasets.Audio` column: with `decode=False` a mapping with `bytes` or `path`, else a decoder of
            torchcodec (an object with `get_all_samples()`).
            float16/32/64 and bfloat16 in [-1, 1]; int8, int16, int32 and uint8 are scaled by their full scale.
        sampling_rate: rate in Hz of recordings that do not include their own; None means `target_rate`.
        target_rate: rate in Hz of the result.

    Returns:
        list of `(n,)` float64 arrays.

    Raises:
        ValueError: invalid audio (empty, NaN, infinite, text, wrong type or shape); the message contains the index of
            the recording.

    Choice: channels are averaged. In a two-dimensional recording the channel axis is the shorter one, at most 8 long.
    A two-dimensional array outside of a list is one recording if it is `(n, c)` or has one or two rows (as returned by
    soundfile and torchcodec); with three or more rows it is a batch of mono recordings, as in the feature extractors
    of transformers. Inside a list it is always one recording.
    """
    rate = target_rate if sampling_rate is None else check_sampling_rate(sampling_rate)
    items = _split_batch(audio)
    if not items:
        raise ValueError("audio is an empty list: pass at least one recording.")
    if sampling_rate is None and not all(isinstance(item, Mapping) or is_encoded(item) for item in items):
        logger.warning_once(
            f"No sampling_rate was given: assuming {target_rate:g} Hz. Pass sampling_rate= to avoid silent errors; "
            "other rates are resampled."
        )
    return [_read_one(item, rate, target_rate, f"audio[{index}]") for index, item in enumerate(items)]


def _split_batch(audio: Any) -> list[Any]:
    """The recordings in `audio`, with the rules of `read_waveforms`."""
    if isinstance(audio, (np.ndarray, torch.Tensor)):
        if audio.ndim != 2:
            return [audio]
        rows, columns = audio.shape
        if columns <= MAX_CHANNELS and columns < rows:
            return [audio]
        if rows == 2 and columns > 2:
            logger.warning_once(
                "An array of shape (2, n) is treated as one stereo recording; pass a list for a batch of two."
            )
        return [audio] if rows <= 2 else list(audio)
    if isinstance(audio, Sequence) and not isinstance(audio, (str, bytes, bytearray, memoryview)):
        is_flat = len(audio) > 0 and all(isinstance(sample, numbers.Number) for sample in audio)
        return [audio] if is_flat else list(audio)
    return [audio]


def _read_one(item: Any, sampling_rate: float, target_rate: float, name: str) -> np.ndarray:
    """Mono float64 waveform `(n,)` of one recording; errors contain `name`."""
    if is_encoded(item):
        item, sampling_rate = decode_recording(item, name)
    elif isinstance(item, Mapping):
        if "sampling_rate" not in item or not ("array" in item or "raw" in item):
            raise ValueError(
                f"{name} is a mapping with the keys {sorted(map(str, item))}; expected `array` and `sampling_rate`, "
                "or `bytes` or `path`."
            )
        sampling_rate = check_sampling_rate(item["sampling_rate"], f"the sampling_rate of {name}")
        item = item["array"] if "array" in item else item["raw"]
    samples = _scale_samples(_as_array(item, name), name)
    samples = _mix_channels(samples, name)
    if samples.size == 0:
        raise ValueError(f"{name} is empty (no samples).")
    lowest, highest = float(samples.min()), float(samples.max())  # NaN if any sample is
    if not math.isfinite(lowest + highest):
        position = int(np.argmin(np.isfinite(samples)))
        reason = "NaN" if np.isnan(samples[position]) else "infinite"
        raise ValueError(f"{name} is invalid: sample {position} of {samples.size} is {reason}.")
    peak = max(-lowest, highest)
    if peak > MAX_FLOAT_AMPLITUDE:
        raise ValueError(
            f"{name} has float samples up to {peak:g}, expected [-1, 1]: this looks like integer audio cast to float. "
            "Divide it by its full scale (32768 for 16 bits) or pass the integers."
        )
    return resample_waveform(samples, sampling_rate, target_rate)


def _as_array(item: Any, name: str) -> np.ndarray:
    """`item` as a numpy array of a numeric dtype."""
    if isinstance(item, (str, bytes, bytearray, memoryview)):
        shown = repr(item[:40]) if isinstance(item, str) else f"{len(item)} bytes"
        raise ValueError(
            f"{name} is {type(item).__name__} ({shown}) but audio samples are expected. Read the file first (for "
            "example with soundfile.read) and pass the array with its sampling_rate; pass text as `text=`."
        )
    if isinstance(item, torch.Tensor):
        item = item.detach().cpu()
        item = (item.float() if item.dtype == torch.bfloat16 else item).numpy()
    try:
        samples = np.asarray(item)
    except ValueError as error:  # ragged nested lists
        raise ValueError(f"{name} cannot be converted to an array of samples: {error}.") from None
    if samples.ndim == 0:
        raise ValueError(f"{name} is a {type(item).__name__}, expected an array of samples.")
    return samples


def _scale_samples(samples: np.ndarray, name: str) -> np.ndarray:
    """Samples as float64, integers divided by their full scale."""
    if samples.size == 0:
        return np.zeros(samples.shape, dtype=np.float64)
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    full_scale = _INTEGER_FULL_SCALE.get(samples.dtype.name)
    if full_scale is None:
        raise ValueError(
            f"{name} has dtype {samples.dtype}: expected float16, float32, float64, int8, int16, int32 or uint8. "
            "Convert other types to floats in [-1, 1]."
        )
    centre = 128.0 if samples.dtype.name == "uint8" else 0.0
    return (samples.astype(np.float64) - centre) / full_scale


def _mix_channels(samples: np.ndarray, name: str) -> np.ndarray:
    """Average over the channel axis: `(n,)`, `(n, c)` or `(c, n)` -> `(n,)`."""
    if samples.ndim == 1:
        return samples
    if samples.ndim > 2:
        raise ValueError(f"{name} has shape {samples.shape}: expected (n,), (n, channels) or (channels, n).")
    first, second = samples.shape
    if min(first, second) == 0:
        return samples.reshape(-1)
    if min(first, second) > MAX_CHANNELS or (first == second and first > 1):
        raise ValueError(
            f"{name} has shape {samples.shape}: one axis must be the channels (at most {MAX_CHANNELS}, and shorter "
            "than the samples). Pass a list for a batch of recordings."
        )
    return samples.mean(axis=1 if second <= first else 0)
