# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Formats of public text models: names of decoder weights and fields of the configuration."""

from typing import Any

from transformers import PreTrainedConfig

from mu2slam_hf.interop.speech_encoder_formats import KeyRule, SourceFormat

_LAYER, _OURS = r"model\.decoder\.layers\.(\d+)\.", r"model.decoder.layers.\1."
_BOTH = r"(weight|bias)"

DECODER_RULES = (
    KeyRule(_LAYER + r"self_attn\.(q|k|v)_proj\." + _BOTH, _OURS + r"self_attn.\2_proj.\3"),
    KeyRule(_LAYER + r"self_attn\.out_proj\." + _BOTH, _OURS + r"self_attn.o_proj.\2"),
    KeyRule(_LAYER + r"self_attn_layer_norm\." + _BOTH, _OURS + r"self_attn_norm.\2"),
    KeyRule(_LAYER + r"encoder_attn\.(q|k|v)_proj\." + _BOTH, _OURS + r"cross_attn.\2_proj.\3"),
    KeyRule(_LAYER + r"encoder_attn\.out_proj\." + _BOTH, _OURS + r"cross_attn.o_proj.\2"),
    KeyRule(_LAYER + r"encoder_attn_layer_norm\." + _BOTH, _OURS + r"cross_attn_norm.\2"),
    KeyRule(_LAYER + r"fc1\." + _BOTH, _OURS + r"up_proj.\2"),
    KeyRule(_LAYER + r"fc2\." + _BOTH, _OURS + r"down_proj.\2"),
    KeyRule(_LAYER + r"final_layer_norm\." + _BOTH, _OURS + r"feed_forward_norm.\2"),
    KeyRule(r"model\.decoder\.layer_norm\." + _BOTH, r"model.decoder.norm.\1"),
    KeyRule(r"model\.(encoder|decoder)\.embed_tokens\.weight", r"model.\1.embed_tokens.weight"),
    KeyRule(r"lm_head\.weight", r"lm_head.weight"),
)

# Omitted weights of the source, with reasons.
LEFT_OUT = {
    r"model\.encoder\.(layers|layer_norm|layernorm_embedding|embed_positions)\..*": "the encoder is that of speech",
    r"model\.shared\.weight": "the same table as those of encoder and decoder, or unused",
    r"model\.(encoder|decoder)\.embed_positions\.weights": "computed from the configuration",
    r"model\.(encoder|decoder)\.version": "a version number",
}

TEXT_FORMATS = {
    "m2m_100": SourceFormat(prefix="", rules=DECODER_RULES, left_out=LEFT_OUT),
    "mbart": SourceFormat(
        prefix="",
        rules=(
            *DECODER_RULES,
            KeyRule(r"model\.decoder\.layernorm_embedding\." + _BOTH, r"model.decoder.embed_norm.\1"),
            KeyRule(r"model\.decoder\.embed_positions\.weight", r"model.decoder.embed_positions.weight"),
            KeyRule(r"final_logits_bias", r"lm_head.bias"),
        ),
        left_out=LEFT_OUT,
    ),
}
"""Formats by `model_type`; NLLB-200 (dense) is `m2m_100`, mBART-50 is `mbart`."""

TOKEN_TABLES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
"""Names in our models of the tables with one row for each token."""

REFUSED = {
    "mt5": "its attention has relative position buckets, its feed-forward a gated GELU and its norms no bias, which "
    "the decoder of this package does not have",
    "t5": "its attention has relative position buckets and its norms no bias, which the decoder of this package does "
    "not have",
    "whisper": "its decoder is trained on speech with task and timestamp tokens and byte-level pieces",
}

_SHARED_FIELDS = {
    "d_model": "hidden_size",
    "decoder_attention_heads": "num_attention_heads",
    "decoder_ffn_dim": "intermediate_size",
    "activation_function": "hidden_act",
    "dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "scale_embedding": "scale_embedding",
    "max_position_embeddings": "max_position_embeddings",
    "init_std": "initializer_range",
}


def find_text_format(config: PreTrainedConfig, source: str) -> SourceFormat:
    """The format of a text model.

    Raises:
        ValueError: a model of another type; the message says why, or lists the supported types.
    """
    kind = config.model_type
    if kind in REFUSED:
        raise ValueError(f"{source}: a decoder of type {kind!r} cannot be imported: {REFUSED[kind]}.")
    if kind not in TEXT_FORMATS:
        raise ValueError(f"{source}: expected a text model of type {' or '.join(TEXT_FORMATS)}, got {kind!r}.")
    return TEXT_FORMATS[kind]


def convert_decoder_config(config: PreTrainedConfig, num_layers: int) -> dict[str, Any]:
    """Fields of a [`Mu2SLAMDecoderConfig`] for the decoder of a text model, with `num_layers` of its layers."""
    fields: dict[str, Any] = {ours: getattr(config, theirs) for theirs, ours in _SHARED_FIELDS.items()}
    fields["num_hidden_layers"] = num_layers
    if config.model_type == "mbart":
        return {**fields, "position_embeddings_type": "learned", "position_offset": 2, "normalize_embedding": True}
    # The first position after that of padding.
    offset = config.pad_token_id + 1
    return {**fields, "position_embeddings_type": "sinusoidal_inclusive", "position_offset": offset}
