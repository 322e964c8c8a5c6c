# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Inputs of a model's front end from waveforms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE, FloatArray
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_speech_inputs import (
    describe_mismatch,
    extract_speech,
    speech_input_name,
    stacked_frames_of,
)

SILENT_SAMPLES = 640
"""Length of the silent utterance of a batch without speech: one encoder frame of front ends for features, and of
`waveform` with the usual convolutions (shorter utterances are padded)."""


class SpeechInputs:
    """Inputs of a front end, and the number of encoder frames.

    Legend: B = utterances, T = frames or samples, F = values per frame.

    Args:
        feature_extractor: feature extractor of this package, or of an imported encoder.
        encoder_config: encoder configuration with the front end; None for `conv2d`.
        pad_to_multiple_of: multiple for T, limits the number of shapes.

    Raises:
        ValueError: the feature extractor does not match the front end.
    """

    def __init__(self, feature_extractor: Any, encoder_config: Any = None, pad_to_multiple_of: int = 1) -> None:
        self.feature_extractor, self.encoder_config = feature_extractor, encoder_config
        self.pad_to_multiple_of = pad_to_multiple_of
        mismatch = describe_mismatch(feature_extractor, encoder_config)
        if mismatch is not None:
            raise ValueError(f"`feature_extractor` and `encoder_config` do not match: {mismatch}")

    @property
    def name(self) -> str:
        """Key of the speech in a batch, as the feature extractor names it: `input_features` or `input_values`."""
        return speech_input_name(self.feature_extractor.model_input_names) or "input_features"

    @property
    def num_stacked_frames(self) -> int:
        """Number of 10 ms frames in one frame of the inputs."""
        return stacked_frames_of(self.feature_extractor)

    def extract(self, waveforms: Sequence[FloatArray]) -> dict[str, Tensor]:
        """Compute the inputs from `(n,)` waveforms at 16 kHz.

        Returns:
            `input_features` `(B, T, F)` (or `input_values` `(B, T)`) float32 and `attention_mask` `(B, T)` int64, 1 on
            real frames or samples.
        """
        extracted = extract_speech(
            self.feature_extractor, list(waveforms), SAMPLING_RATE, padding=True, return_tensors="pt"
        )
        speech, mask = extracted[self.name], extracted["attention_mask"].to(torch.int64)
        extra = -speech.shape[1] % self.pad_to_multiple_of
        if extra:
            # Time is the second axis of both inputs.
            speech = torch.nn.functional.pad(speech, (*(0,) * (2 * (speech.ndim - 2)), 0, extra))
            mask = torch.nn.functional.pad(mask, (0, extra))
        return {self.name: speech, "attention_mask": mask}

    def num_frames(self, lengths: Any) -> Any:
        """Number of encoder frames for `lengths` real positions along T, an int or an integer tensor."""
        return encoder_length(lengths, self.encoder_config)


def silence() -> FloatArray:
    """The waveform of a batch without speech."""
    return np.zeros(SILENT_SAMPLES, dtype=np.float32)
