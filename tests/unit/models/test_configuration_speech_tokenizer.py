# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configurations of speech tokenizers: defaults of the contrastive kind, and values that no tokenizer has."""

import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor

from mu2slam_hf import SpeechTokenizerConfig, SpeechTokenizerModel

CONTRASTIVE = {"kind": "contrastive"}
CONFORMER = {"model_type": "mu2slam_conformer", "num_hidden_layers": 2}
ENCODER = {"kind": "kmeans", "features": "encoder", "encoder_layer": 1}
WAV2VEC2 = {**ENCODER, "encoder_config": Wav2Vec2Config(num_hidden_layers=2).to_dict()}


def test_defaults_build_a_tokenizer():
    config = SpeechTokenizerConfig(kind="contrastive", num_mel_bins=80)
    assert (config.features, config.encoder_layer, config.reads_waveforms) == ("encoder", 0, False)
    assert config.feature_size == config.encoder_config.hidden_size
    with torch.device("meta"):
        SpeechTokenizerModel(config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "gumbel"}, "kind must be one of"),
        ({"features": "wavelets"}, "features must be one of"),
        ({"num_context_frames": 1}, "requires .* num_context_frames=0"),
        ({"num_stacked_frames": 2}, "must be 4"),
        ({"codevector_dim": 0}, "at least 1"),
        ({"feature_mean": [0.0]}, "one per mel bin"),
        ({"feature_std": [0.0] * 80}, "must be positive"),
        ({"kind": "kmeans", "num_codevector_groups": 2}, "supports one codebook only"),
        (CONTRASTIVE | {"quantizer_method": "fsq"}, "quantizer_method must be one of gumbel, nearest; got 'fsq'"),
        (
            CONTRASTIVE | {"codevector_dim": 16, "num_codevector_groups": 3},
            "codevector_dim .16. must be a multiple",
        ),
        (CONTRASTIVE | {"encoder_layer": 1, "encoder_config": CONFORMER}, "an encoder_config with .* encoder_layer=0"),
        (CONTRASTIVE | {"encoder_config": {"model_type": "wav2vec2"}}, "model_type='wav2vec2' and encoder_layer=0"),
        (CONTRASTIVE | {"encoder_config": CONFORMER | {"frontend": "waveform"}}, "must be 'conv2d', which gives one"),
        (CONTRASTIVE | {"encoder_config": CONFORMER | {"num_mel_bins": 40}}, "80 here and 40 in encoder_config"),
        (ENCODER | {"encoder_config": {"hidden_size": 16}}, "must contain `model_type`"),
        (ENCODER | {"encoder_config": None}, "must be given together"),
        (WAV2VEC2 | {"encoder_layer": 3}, "between 0 .* and 2"),
        (WAV2VEC2, "encoder_feature_extractor"),
        (
            WAV2VEC2 | {"encoder_feature_extractor": Wav2Vec2FeatureExtractor().to_dict()},
            "encoder_frames_per_second",
        ),
        (WAV2VEC2 | {"num_context_frames": 1}, "must be 0"),
    ],
)
def test_wrong_configuration_is_refused(values, message):
    with pytest.raises(Exception, match=message):
        SpeechTokenizerConfig(**values)
