# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configuration of a small recurrent recognizer."""

from transformers import PreTrainedConfig


class FrameRecognizerConfig(PreTrainedConfig):
    """Sizes of `FrameRecognizer`; `vocab_size` and `pad_token_id`, the blank, are those of the tokenizer.

    `inputs_to_logits_ratio` is the number of samples per output frame: four log-mel frames of 160 samples.
    """

    model_type = "frame_recognizer"

    hidden_size: int = 32
    num_mel_bins: int = 80
    vocab_size: int = 64
    pad_token_id: int | None = 0
    inputs_to_logits_ratio: int = 640
