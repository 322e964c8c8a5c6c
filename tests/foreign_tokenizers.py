# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A speech tokenizer on a small encoder of transformers that hears 8 kHz, as some of telephone speech do."""

import numpy as np
import torch
from transformers import Wav2Vec2Config

from mu2slam_hf import SpeechTokenizerConfig, SpeechTokenizerModel

NUM_CODES = 16


def make_telephone_tokenizer() -> SpeechTokenizerModel:
    """Random weights; one id for every frame of the encoder."""
    torch.manual_seed(0)
    encoder = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        conv_dim=(8,) * 7,
    )
    extractor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "sampling_rate": 8000}
    return SpeechTokenizerModel(
        SpeechTokenizerConfig(
            kind="kmeans",
            features="encoder",
            num_codevectors_per_group=NUM_CODES,
            encoder_config=encoder.to_dict(),
            encoder_layer=1,
            encoder_feature_extractor=extractor,
            encoder_frames_per_second=25,
        )
    )


def make_speech(num_samples: int) -> np.ndarray:
    """`(n,)` float32, noise that differs from frame to frame."""
    return np.random.default_rng(0).normal(0.0, 0.1, num_samples).astype(np.float32)
