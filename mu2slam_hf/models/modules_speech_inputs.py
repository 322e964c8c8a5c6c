# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inputs of a front end: the log-mel features of this package, or those of an imported encoder.

Shapes: B recordings, T frames (10 ms log-mel, or stacked) or samples, F size of a frame.
"""

from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from .configuration_conformer import ConformerEncoderConfig
from .modules_waveforms import read_waveforms

SPEECH_INPUTS = ("input_features", "input_values")
"""Names of speech inputs of a model; a batch has one of them."""

# Two windows of 25 ms, 10 ms apart: one stacked frame, and enough for a variance. Some extractors fail on shorter
# input.
_SHORTEST_SECONDS = 0.035


def is_log_mel(feature_extractor: Any) -> bool:
    """Whether a feature extractor is a [`Mu2SLAMFeatureExtractor`], including custom-code copies of the class."""
    return hasattr(feature_extractor, "compute_log_mel")


def frontend_of(feature_extractor: Any) -> str:
    """The front end (`ConformerEncoderConfig.frontend`) for the output of a feature extractor."""
    if is_log_mel(feature_extractor):
        return "conv2d"
    return "waveform" if "input_values" in feature_extractor.model_input_names else "stacked_frames"


def stacked_frames_of(feature_extractor: Any) -> int:
    """Number of 10 ms frames per row of `input_features`: 1, or the `stride` of extractors that stack."""
    return int(getattr(feature_extractor, "stride", 1))


def speech_input_name(inputs: Any) -> str | None:
    """The element of `SPEECH_INPUTS` in a batch (or in `model_input_names` of a feature extractor), or None."""
    return next((name for name in SPEECH_INPUTS if name in inputs), None)


def describe_mismatch(feature_extractor: Any, encoder_config: ConformerEncoderConfig | None) -> str | None:
    """Why an encoder (None: front end `conv2d`) does not match a feature extractor; None if it does."""
    made, read = frontend_of(feature_extractor), getattr(encoder_config, "frontend", "conv2d")
    name = type(feature_extractor).__name__
    if made != read:
        return f"the model has the front end {read!r}, but {name} creates the input of {made!r}"
    if encoder_config is None:
        return None
    if read == "conv2d" and feature_extractor.feature_size != encoder_config.num_mel_bins:
        return f"the model expects {encoder_config.num_mel_bins} mel bins, got {feature_extractor.feature_size}"
    if read == "stacked_frames":
        width = feature_extractor.feature_size * stacked_frames_of(feature_extractor)
        if width != encoder_config.feature_size:
            return f"the model expects frames of size {encoder_config.feature_size}, {name} creates size {width}"
    return None


def extract_speech(
    feature_extractor: Any, audio: Any, sampling_rate: float | None = None, **options: Any
) -> BatchFeature:
    """Extract the inputs of a front end from recordings.

    Choice: feature extractors of transformers also accept any audio supported by `read_waveforms` (channels are
    averaged, other rates resampled, errors contain the index of the recording) and always return a mask; recordings
    that are too short are padded with silence to at least one frame.

    Args:
        feature_extractor: [`Mu2SLAMFeatureExtractor`], or that of an imported encoder (`SeamlessM4TFeatureExtractor`,
            `Wav2Vec2FeatureExtractor`).
        audio: see `read_waveforms`.
        sampling_rate: Hz of recordings that do not include their own rate.
        **options: passed to the feature extractor (`padding`, `return_tensors`, ...).

    Returns:
        `input_features` `(B, T, F)` float32, or `input_values` `(B, T)`; `attention_mask` `(B, T)` int64, 1 on real
        frames (samples).
    """
    if is_log_mel(feature_extractor):
        return feature_extractor(audio, sampling_rate=sampling_rate, **options)
    rate = feature_extractor.sampling_rate
    shortest = round(_SHORTEST_SECONDS * rate)
    waveforms = [
        np.pad(waveform, (0, max(0, shortest - len(waveform)))).astype(np.float32)
        for waveform in read_waveforms(audio, sampling_rate, rate)
    ]
    options = {"padding": True, "return_tensors": "pt", **options, "return_attention_mask": True}
    if hasattr(feature_extractor, "nb_max_frames"):  # Whisper, whose encoder has a fixed length
        options["padding"] = "max_length"
    inputs = feature_extractor(waveforms, sampling_rate=rate, **options)
    mask = inputs["attention_mask"]
    if isinstance(mask, torch.Tensor):
        inputs["attention_mask"] = mask.long()
    elif isinstance(mask, np.ndarray) and mask.dtype != object:
        inputs["attention_mask"] = mask.astype(np.int64)
    return inputs
