# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Formats of public speech encoders: mappings of names and configuration fields in both directions."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from transformers import PreTrainedConfig, Wav2Vec2BertConfig, Wav2Vec2ConformerConfig

from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig


class KeyRule(NamedTuple):
    r"""A rule to rename weights.

    Attributes:
        source: regular expression of the full name in the source.
        ours: name in a [`Mu2SLAMEncoder`]; `\1` is the first group of the expression.
        drop_last_axis: whether the source stores a linear map as a convolution with kernel size 1, `(out, in, 1)`.
    """

    source: str
    ours: str
    drop_last_axis: bool = False


_LAYER, _OURS = r"encoder\.layers\.(\d+)\.", r"conformer.layers.\1."
_BOTH = r"(weight|bias)"

LAYER_RULES = (
    KeyRule(_LAYER + r"ffn(1|2)_layer_norm\." + _BOTH, _OURS + r"feed_forward\2_norm.\3"),
    KeyRule(_LAYER + r"ffn(1|2)\.intermediate_dense\." + _BOTH, _OURS + r"feed_forward\2.up_proj.\3"),
    KeyRule(_LAYER + r"ffn(1|2)\.output_dense\." + _BOTH, _OURS + r"feed_forward\2.down_proj.\3"),
    KeyRule(_LAYER + r"self_attn_layer_norm\." + _BOTH, _OURS + r"self_attn_norm.\2"),
    KeyRule(_LAYER + r"self_attn\.linear_(q|k|v)\." + _BOTH, _OURS + r"self_attn.\2_proj.\3"),
    KeyRule(_LAYER + r"self_attn\.linear_out\." + _BOTH, _OURS + r"self_attn.o_proj.\2"),
    KeyRule(_LAYER + r"self_attn\.linear_pos\.weight", _OURS + r"self_attn.relative_k_proj.weight"),
    KeyRule(_LAYER + r"self_attn\.pos_bias_(u|v)", _OURS + r"self_attn.bias_\2"),
    KeyRule(_LAYER + r"self_attn\.distance_embedding\.weight", _OURS + r"self_attn.distance_embedding.weight"),
    KeyRule(_LAYER + r"conv_module\.layer_norm\." + _BOTH, _OURS + r"conv_norm.\2"),
    KeyRule(_LAYER + r"conv_module\.pointwise_conv(1|2)\.weight", _OURS + r"conv.pointwise_conv\2.weight", True),
    KeyRule(_LAYER + r"conv_module\.depthwise_conv\.weight", _OURS + r"conv.depthwise_conv.weight"),
    KeyRule(_LAYER + r"final_layer_norm\." + _BOTH, _OURS + r"final_norm.\2"),
    KeyRule(r"feature_projection\.layer_norm\." + _BOTH, r"subsampling.norm.\1"),
    KeyRule(r"feature_projection\.projection\." + _BOTH, r"subsampling.linear.\1"),
)

# Omitted weights of the source, with reasons.
LEFT_OUT = {
    r"masked_spec_embed": "embedding of masked frames; stored as the row of [MASK] in the token embeddings",
    r"(lm_head|classifier|projector|tdnn|feature_extractor_head|objective)\..*|layer_weights": "heads",
    r"(quantizer|project_q|project_hid)\..*": "quantiser of the pre-training of the source",
    r".*\.num_batches_tracked": "an unused counter",
    r"encoder\.embed_positions\.(inv_freq|pe)": "computed from the configuration",
}


class SourceFormat(NamedTuple):
    """One format of checkpoints.

    Attributes:
        prefix: prefix of all names in checkpoints with a head.
        rules: rules in order; the first match is used.
        left_out: maps expressions of omitted names to reasons.
    """

    prefix: str
    rules: tuple[KeyRule, ...]
    left_out: Mapping[str, str]


FORMATS = {
    "wav2vec2-bert": SourceFormat(
        prefix="wav2vec2_bert.",
        rules=(
            *LAYER_RULES,
            KeyRule(_LAYER + r"conv_module\.depthwise_layer_norm\." + _BOTH, _OURS + r"conv.norm.\2"),
        ),
        left_out=LEFT_OUT,
    ),
    "wav2vec2-conformer": SourceFormat(
        prefix="wav2vec2_conformer.",
        rules=(
            *LAYER_RULES,
            KeyRule(
                _LAYER + r"conv_module\.batch_norm\.(weight|bias|running_mean|running_var)", _OURS + r"conv.norm.\2"
            ),
            KeyRule(r"encoder\.layer_norm\." + _BOTH, r"conformer.norm.\1"),
            KeyRule(r"feature_extractor\.conv_layers\.(\d+)\.conv\." + _BOTH, r"subsampling.conv_layers.\1.conv.\2"),
            KeyRule(
                r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\." + _BOTH, r"subsampling.conv_layers.\1.norm.\2"
            ),
        ),
        left_out={
            **LEFT_OUT,
            r"encoder\.pos_conv_embed\..*": "created by the constructor of the source but unused in its forward",
        },
    ),
}

# Fields of the configuration: maps names in the source to names in this package.
SHARED_FIELDS = {
    **{name: name for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")},
    **{name: name for name in ("hidden_act", "conv_depthwise_kernel_size", "layer_norm_eps", "initializer_range")},
    **{name: name for name in ("hidden_dropout", "attention_dropout", "activation_dropout")},
    "rotary_embedding_base": "rope_base",
}
BERT_FIELDS = ("left_max_position_embeddings", "right_max_position_embeddings")
CONFORMER_FIELDS = (
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "conv_bias",
    "feat_extract_norm",
    "feat_extract_activation",
)
# Fields that affect training only, not the function of an encoder.
TRAINING_FIELDS = (
    "hidden_dropout",
    "attention_dropout",
    "activation_dropout",
    "embedding_dropout",
    "initializer_range",
)


def convert_config(config: PreTrainedConfig, source: str) -> ConformerEncoderConfig:
    """Convert the configuration of an encoder of the source to an equivalent one of this package.

    Raises:
        ValueError: the encoder of this package cannot represent it.
    """
    if config.add_adapter:
        raise ValueError(
            f"{source} has an adapter (add_adapter=True), which is not supported. Load a checkpoint without one, for "
            "example the one from which it was fine-tuned."
        )
    options: dict[str, Any] = {ours: getattr(config, theirs) for theirs, ours in SHARED_FIELDS.items()}
    options |= {
        "convolution_bias": False,
        "attention_bias": True,
        "position_embeddings_type": config.position_embeddings_type or "none",
        "rotary_before_projection": True,
        "embedding_dropout": config.hidden_dropout,
    }
    if config.model_type == "wav2vec2-bert":
        stacked = 2 if config.feature_projection_input_dim % 2 == 0 else 1
        options |= {
            "frontend": "stacked_frames",
            "num_stacked_frames": stacked,
            "num_mel_bins": config.feature_projection_input_dim // stacked,
            "conv_causal": True,
            "conv_norm": "layer",
        }
        options |= {name: getattr(config, name) for name in BERT_FIELDS}
    else:
        if config.layer_norm_eps != 1e-5:
            raise ValueError(
                f"{source} has layer_norm_eps={config.layer_norm_eps}. Only 1e-5 is supported, because "
                "Wav2Vec2Conformer uses 1e-5 in some norms regardless of its configuration."
            )
        options |= {"frontend": "waveform", "conv_norm": "batch", "final_layer_norm": True}
        options |= {name: getattr(config, name) for name in CONFORMER_FIELDS}
    return ConformerEncoderConfig(**options)


def restore_config(config: ConformerEncoderConfig) -> PreTrainedConfig:
    """The inverse of `convert_config`: the configuration of the class of the source for an encoder of this package.

    Raises:
        ValueError: the class of the source cannot represent this encoder; the message contains all conflicting fields.
    """
    values: dict[str, Any] = {theirs: getattr(config, ours) for theirs, ours in SHARED_FIELDS.items()}
    kind = config.position_embeddings_type
    values["position_embeddings_type"] = None if kind == "none" else kind
    restored: PreTrainedConfig
    if config.frontend == "waveform":
        values |= {name: getattr(config, name) for name in CONFORMER_FIELDS}
        restored = Wav2Vec2ConformerConfig(**values)
    elif config.frontend == "stacked_frames":
        values |= {name: getattr(config, name) for name in BERT_FIELDS}
        restored = Wav2Vec2BertConfig(**values, feature_projection_input_dim=config.feature_size)
    else:
        raise ValueError(
            f"an encoder with the front end {config.frontend!r} cannot be exported; only encoders imported from "
            f"{' or '.join(FORMATS)} can."
        )
    again = convert_config(restored, "the encoder").to_dict()
    own = {name: value for name, value in config.to_dict().items() if name in ConformerEncoderConfig.__annotations__}
    different = sorted(name for name in own if name not in TRAINING_FIELDS and again.get(name) != own[name])
    if different:
        raise ValueError(
            f"{restored.model_type} cannot represent this encoder; these fields differ: "
            + ", ".join(f"{name} ({own[name]}, there {again.get(name)})" for name in different)
        )
    return restored


def rename_weights(
    state_dict: Mapping[str, Tensor], known: SourceFormat, source: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename weights; returns them with the omitted names and reasons.

    Raises:
        ValueError: weights match no rule; the message contains their names.
    """
    renamed: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    unknown = []
    for full_name, tensor in state_dict.items():
        name = full_name.removeprefix(known.prefix)
        reason = reason_to_leave_out(name, known)
        if reason is not None:
            left_out[name] = reason
            continue
        results = find_name(name, known)
        if results is None:
            unknown.append(name)
        else:
            ours, rule = results
            renamed[ours] = tensor.detach()[..., 0] if rule.drop_last_axis else tensor.detach()
    if unknown:
        raise ValueError(f"{source}: unexpected weights {list_names(unknown)}.")
    return renamed, left_out


def refuse_unknown(names: Iterable[str], known: SourceFormat, source: str) -> None:
    """Check the names in the files that the class of the source does not use.

    Raises:
        ValueError: names are unknown; the message contains them.
    """
    short = [name.removeprefix(known.prefix) for name in names]
    unknown = [name for name in short if reason_to_leave_out(name, known) is None]
    if unknown:
        raise ValueError(f"{source}: the checkpoint contains unknown weights: {list_names(unknown)}.")


def find_name(name: str, known: SourceFormat) -> tuple[str, KeyRule] | None:
    """The name in this package of a weight of the source, and its rule; None if no rule matches."""
    matches = ((re.fullmatch(rule.source, name), rule) for rule in known.rules)
    return next(((match.expand(rule.ours), rule) for match, rule in matches if match), None)


def reason_to_leave_out(name: str, known: SourceFormat) -> str | None:
    """Reason to omit a weight of the source; None if it must be loaded."""
    return next((reason for pattern, reason in known.left_out.items() if re.fullmatch(pattern, name)), None)


def list_names(names: list[str], most: int = 12) -> str:
    """The first names of a list, and the number of remaining ones."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
