# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Feature extractors of public speech encoders."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoFeatureExtractor,
    PreTrainedConfig,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

_FILES = ("preprocessor_config.json", "processor_config.json")


def load_feature_extractor(source: str, config: PreTrainedConfig) -> Any:
    """The feature extractor saved next to a speech encoder, else the default of its type.

    Args:
        source: folder, or name on the Hub.
        config: configuration of the encoder.

    Raises:
        ValueError: none is saved and the type has no default.
    """
    is_saved = any((Path(source) / name).is_file() for name in _FILES)
    if is_saved or not Path(source).is_dir():
        return AutoFeatureExtractor.from_pretrained(source)
    extractor = build_feature_extractor(config)
    if extractor is None:
        raise ValueError(f"{source} holds no feature extractor (preprocessor_config.json)")
    return extractor


def build_feature_extractor(config: PreTrainedConfig) -> Any | None:
    """The default feature extractor of an encoder in a public format; None for other types."""
    if config.model_type == "wav2vec2-bert":
        stride = 2 if config.feature_projection_input_dim % 2 == 0 else 1
        bins = config.feature_projection_input_dim // stride
        return SeamlessM4TFeatureExtractor(feature_size=bins, num_mel_bins=bins, stride=stride)
    if config.model_type == "wav2vec2-conformer":
        return Wav2Vec2FeatureExtractor(return_attention_mask=config.feat_extract_norm == "layer")
    return None
