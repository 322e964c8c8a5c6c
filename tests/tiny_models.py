# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tiny models and batches that many tests share."""

import torch

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration

LANGUAGES = ["und", "en", "fr", "es"]
NUM_SPEECH, TEXT_OFFSET, VOCABULARY = 32, 96, 160


def tiny_config(**encoder) -> Mu2SLAMConfig:
    """64-wide, two layers each side; keyword arguments go to the encoder."""
    encoder_config = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "conv_depthwise_kernel_size": 5,
        "conv_norm": "layer",
        "position_embeddings_type": "rotary",
        "subsampling_conv_channels": [8, 4],
        "initializer_range": 0.1,
        **encoder,
    }
    decoder_config = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "initializer_range": 0.1,
    }
    return Mu2SLAMConfig(
        encoder_config=encoder_config,
        decoder_config=decoder_config,
        vocab_size=VOCABULARY,
        num_speech_tokens=NUM_SPEECH,
        text_token_offset=TEXT_OFFSET,
        languages=LANGUAGES,
        initializer_range=0.1,
    )


def tiny_model(seed: int = 0, **encoder) -> Mu2SLAMForConditionalGeneration:
    """A model with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return Mu2SLAMForConditionalGeneration(tiny_config(**encoder)).eval()


def writing_model(
    seed: int, end_bias: float, restricted_tokens: dict[str, list[int]] | None = None
) -> Mu2SLAMForConditionalGeneration:
    """A model whose random weights write other tokens for other sources, and end texts at different lengths.

    A larger `end_bias` ends them sooner.
    """
    torch.manual_seed(seed)
    config = tiny_config(initializer_range=0.3)
    config.initializer_range = config.decoder_config.initializer_range = 0.3
    config.decoder_config.scale_embedding = config.tie_word_embeddings = False
    config.restricted_tokens = restricted_tokens
    model = Mu2SLAMForConditionalGeneration(config).eval()
    end = config.eos_token_id
    with torch.no_grad():
        model.lm_head.weight[end], model.lm_head.bias[end] = model.lm_head.weight[122], end_bias
    return model


def speech_batch(lengths: list[int], seed: int = 0, garbage: float | None = None) -> dict[str, torch.Tensor]:
    """Random features of the given lengths, padded; the padding holds `garbage` where that is given."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    features = torch.randn(len(lengths), longest, 80, generator=generator)
    mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long()
    features = torch.where(mask[..., None].bool(), features, torch.tensor(0.0 if garbage is None else garbage))
    return {"input_features": features, "attention_mask": mask}


def text_ids(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random text tokens `(rows, length)`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(TEXT_OFFSET, VOCABULARY, (rows, length), generator=generator)
