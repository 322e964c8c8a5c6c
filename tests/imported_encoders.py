# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small speech encoders of transformers with random weights, and speech for them."""

import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel, Wav2Vec2ConformerConfig, Wav2Vec2ConformerModel

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
SHARED = {"vocab_size": 160, "num_speech_tokens": 32, "text_token_offset": 96, "languages": ["und", "en", "fr"]}

BERT = {
    "relative_key": {"position_embeddings_type": "relative_key"},
    "relative": {"position_embeddings_type": "relative"},
    "rotary": {"position_embeddings_type": "rotary", "rotary_embedding_base": 500},
    "none": {"position_embeddings_type": None, "layer_norm_eps": 1e-3, "hidden_act": "relu"},
}
CONFORMER = {
    "relative-group": {"position_embeddings_type": "relative", "feat_extract_norm": "group"},
    "relative-layer": {"position_embeddings_type": "relative", "feat_extract_norm": "layer", "conv_bias": True},
    "rotary-layer": {"position_embeddings_type": "rotary", "feat_extract_norm": "layer", "hidden_act": "swish"},
    "rotary-group": {"position_embeddings_type": "rotary", "feat_extract_norm": "group", "conv_bias": True},
    "none-group": {"position_embeddings_type": None, "feat_extract_norm": "group"},
}
CASES = [("bert", name) for name in BERT] + [("conformer", name) for name in CONFORMER]


def bert_config(**options) -> Wav2Vec2BertConfig:
    narrow = {
        "feature_projection_input_dim": 24,
        "conv_depthwise_kernel_size": 7,
        "left_max_position_embeddings": 6,
        "right_max_position_embeddings": 2,
    }
    return Wav2Vec2BertConfig(**(SIZES | narrow | options))


def conformer_config(**options) -> Wav2Vec2ConformerConfig:
    narrow = {
        "conv_dim": (16, 12, 20),
        "conv_kernel": (10, 3, 2),
        "conv_stride": (5, 2, 2),
        "conv_depthwise_kernel_size": 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "codevector_dim": 8,
        "proj_codevector_dim": 8,
    }
    return Wav2Vec2ConformerConfig(**(SIZES | narrow | options))


def shake(model, seed: int = 0):
    """Noise on every weight and statistic: fresh ones hold zeros and ones, which hide what goes to a wrong place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and "inv_freq" not in name:
                noise = 0.1 * torch.randn(tensor.shape, generator=generator)
                tensor.add_(noise.abs() if "running_var" in name else noise)
    return model.eval()


def make_source(kind: str, name: str):
    if kind == "bert":
        return shake(Wav2Vec2BertModel(bert_config(**BERT[name])))
    return shake(Wav2Vec2ConformerModel(conformer_config(**CONFORMER[name])))


def make_speech(kind: str, length: int, seed: int = 1) -> dict[str, torch.Tensor]:
    """Input of `length` encoder frames (about, for waveforms)."""
    generator = torch.Generator().manual_seed(seed)
    if kind == "bert":
        return {"input_features": torch.randn(1, length, 24, generator=generator)}
    return {"input_values": torch.randn(1, 20 * length + 33, generator=generator)}
