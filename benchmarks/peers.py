# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Configurations of Canary and Whisper in the sizes of a benchmark."""

from typing import Any

from transformers import CanaryConfig, WhisperConfig


def canary_config(
    width: int, num_heads: int, layers: tuple[int, int], vocabulary: int, **encoder: Any
) -> CanaryConfig:
    """Canary with `layers` (encoder, decoder); further arguments are of its encoder."""
    sizes = {"hidden_size": width, "num_attention_heads": num_heads, "intermediate_size": 4 * width}
    return CanaryConfig(
        encoder_config={"model_type": "parakeet_encoder", **sizes, "num_hidden_layers": layers[0], **encoder},
        decoder_config={
            **sizes,
            "num_hidden_layers": layers[1],
            "num_key_value_heads": num_heads,
            "head_dim": width // num_heads,
            "vocab_size": vocabulary,
        },
        vocab_size=vocabulary,
    )


def whisper_config(
    width: int, num_heads: int, layers: tuple[int, int], vocabulary: int, num_positions: int, **options: Any
) -> WhisperConfig:
    """Whisper with `layers` (encoder, decoder) and a source of `num_positions`, to which it pads."""
    return WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=layers[0],
        decoder_layers=layers[1],
        encoder_attention_heads=num_heads,
        decoder_attention_heads=num_heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_source_positions=num_positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        **options,
    )
