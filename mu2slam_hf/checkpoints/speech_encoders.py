# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Public speech encoders as a start: `Wav2Vec2Bert` (w2v-BERT 2.0) and `Wav2Vec2Conformer` checkpoints in our encoder.

Every name of the source stands in a map below or in the list of what is left out on purpose; every weight of ours is
filled or is named as new. Anything else is an error that names the weight: half an encoder is worse than none.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_conformer import ConformerEncoder
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoder


class KeyRule(NamedTuple):
    r"""What one kind of name becomes.

    Attributes:
        source: regular expression for the whole name in the source.
        ours: name in a [`Mu2SLAMEncoder`]; `\1` is the first group of the expression.
        drop_last_axis: the source keeps a linear map as a convolution of one tap, `(out, in, 1)`.
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

# Names of the source that have no place here, each with its reason.
LEFT_OUT = {
    r"masked_spec_embed": "embedding of masked frames; ours is the row of [MASK] in the token table",
    r"(lm_head|classifier|projector|tdnn|feature_extractor_head|objective)\..*|layer_weights": "heads",
    r"(quantizer|project_q|project_hid)\..*": "the quantiser of the source's own pre-training",
    r".*\.num_batches_tracked": "a counter that nothing reads",
    r"encoder\.embed_positions\.(inv_freq|pe)": "computed from the configuration",
}


class SourceFormat(NamedTuple):
    """One format of checkpoints.

    Attributes:
        prefix: of all names, where the checkpoint has a head.
        rules: in this order; the first expression that fits decides.
        left_out: expression -> reason.
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
            r"encoder\.pos_conv_embed\..*": "made by the source's constructor and never used by its forward",
        },
    ),
}

# Weights of a Mu2SLAMEncoder that no speech encoder has: they stay as the model was made, except for the two tables of
# ZEROED, so that speech comes out of the encoder as it came out of the source.
NEW_KEYS = (r"embed_tokens\.weight", r"embed_languages\.weight", r"embed_modalities\.weight")
ZEROED = ("embed_languages", "embed_modalities")


@dataclass(frozen=True)
class SpeechEncoderWeights:
    """An encoder of another package in our names.

    Args:
        config: what our encoder must be to hold it.
        state_dict: name in a [`Mu2SLAMEncoder`] (`subsampling.*`, `conformer.*`) -> tensor.
        source: where it came from, for messages.
        left_out: names of the source without a place here -> reason.
    """

    config: ConformerEncoderConfig
    state_dict: dict[str, Tensor] = field(repr=False)
    source: str
    left_out: dict[str, str] = field(repr=False)

    def build_config(self, decoder_config: PreTrainedConfig | dict | None = None, **shared: Any) -> Mu2SLAMConfig:
        """A configuration of Mu2SLAM around this encoder.

        Args:
            decoder_config: of the decoder; its width and heads default to the encoder's.
            **shared: `vocab_size`, `languages` and all other keys of [`Mu2SLAMConfig`].
        """
        if decoder_config is None or isinstance(decoder_config, dict):
            sizes = {"hidden_size": self.config.hidden_size, "num_attention_heads": self.config.num_attention_heads}
            decoder_config = {**sizes, "intermediate_size": self.config.intermediate_size, **(decoder_config or {})}
        encoder_config = copy.deepcopy(self.config)
        return Mu2SLAMConfig(encoder_config=encoder_config, decoder_config=decoder_config, **shared)

    def load_into(self, model: nn.Module) -> None:
        """Copy the weights into a model of ours.

        Args:
            model: a [`ConformerEncoder`], a [`Mu2SLAMEncoder`], or a model that holds one. The tables of languages and
                modalities of the encoder are set to zero: speech then comes out as from the source. Choice: they are
                new, they learn from there, and what they would add is noise to a trained encoder.

        Raises:
            ValueError: naming every weight that the model has and the source has not, the other way round, or that
                has another shape.
        """
        encoder, state_dict = find_encoder(model), self.state_dict
        if isinstance(encoder, ConformerEncoder):
            prefix = "conformer."
            state_dict = {name[len(prefix) :]: t for name, t in state_dict.items() if name.startswith(prefix)}
        own = encoder.state_dict()
        check_names(own, state_dict, self.source)
        with torch.no_grad():
            for name, tensor in state_dict.items():
                own[name].copy_(tensor)
            for name in ZEROED:
                if hasattr(encoder, name):
                    getattr(encoder, name).weight.zero_()


def load_speech_encoder(name_or_model: str | PreTrainedModel, **kwargs: Any) -> SpeechEncoderWeights:
    """Read a public speech encoder into our names.

    `load_speech_encoder("facebook/w2v-bert-2.0")` gives the configuration and the weights;
    `build_from_speech_encoder` makes a model around them. In evaluation mode the outputs are those of the source, for
    utterances without padding; our encoder also gives them in a padded batch. Dropout in training is ours: one
    probability on every residual branch, no layer drop.

    Args:
        name_or_model: a folder, a name on the Hub, or a model of transformers, with or without a head.
        **kwargs: go to `from_pretrained` (`revision`, `token`, `dtype`, ...); not with a model.

    Raises:
        ValueError: for another kind of model, for an encoder with an adapter, for a weight without a place here, or
            for a checkpoint that does not hold all of them.
    """
    missing: Iterable[str] = ()
    if isinstance(name_or_model, PreTrainedModel):
        source, model = type(name_or_model).__name__, name_or_model
        config = model.config
    else:
        source = str(name_or_model)
        config = AutoConfig.from_pretrained(source, **{k: v for k, v in kwargs.items() if k != "dtype"})
    known = FORMATS.get(config.model_type)
    if known is None:
        raise ValueError(
            f"{source}: expected a speech encoder of type {' or '.join(FORMATS)}, got {config.model_type!r}."
        )
    our_config = convert_config(config, source)
    if not isinstance(name_or_model, PreTrainedModel):
        kwargs.setdefault("dtype", torch.float32)
        model, info = AutoModel.from_pretrained(source, output_loading_info=True, **kwargs)
        missing = [name.removeprefix(known.prefix) for name in info["missing_keys"]]
        refuse_unknown(info["unexpected_keys"], known, source)
    state_dict, left_out = rename_weights(model.state_dict(), known, source)
    invented = sorted(name for name in missing if name not in left_out)
    if invented:
        raise ValueError(f"{source}: the checkpoint lacks {list_names(invented)}.")
    return SpeechEncoderWeights(config=our_config, state_dict=state_dict, source=source, left_out=left_out)


def build_from_speech_encoder(
    name_or_model: str | PreTrainedModel | SpeechEncoderWeights,
    model_class: type[PreTrainedModel] | None = None,
    decoder_config: PreTrainedConfig | dict | None = None,
    **shared: Any,
) -> PreTrainedModel:
    """A new Mu2SLAM whose encoder is a public speech encoder, in evaluation mode.

    Args:
        name_or_model: as in `load_speech_encoder`, or what it returned.
        model_class: of the Mu2SLAM family; `Mu2SLAMForPreTraining` by default.
        decoder_config: as in `SpeechEncoderWeights.build_config`.
        **shared: `vocab_size`, `languages` and all other keys of `Mu2SLAMConfig`.
    """
    if model_class is None:
        from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining

        model_class = Mu2SLAMForPreTraining
    weights = name_or_model
    if not isinstance(weights, SpeechEncoderWeights):
        weights = load_speech_encoder(weights)
    model = model_class(weights.build_config(decoder_config, **shared))
    weights.load_into(model)
    return model.eval()


def convert_config(config: PreTrainedConfig, source: str) -> ConformerEncoderConfig:
    """Our configuration of an encoder that computes what the source's computes.

    Raises:
        ValueError: for what our encoder cannot compute.
    """
    if config.add_adapter:
        raise ValueError(
            f"{source} has an adapter (add_adapter=True), which shortens the output of the encoder and is no part of "
            "ours. Load a checkpoint without one, for instance the one it was fine-tuned from."
        )
    options: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "hidden_act": config.hidden_act,
        "conv_depthwise_kernel_size": config.conv_depthwise_kernel_size,
        "convolution_bias": False,
        "attention_bias": True,
        "position_embeddings_type": config.position_embeddings_type or "none",
        "rope_base": config.rotary_embedding_base,
        "rotary_before_projection": True,
        "hidden_dropout": config.hidden_dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "embedding_dropout": config.hidden_dropout,
        "layer_norm_eps": config.layer_norm_eps,
        "initializer_range": config.initializer_range,
    }
    if config.model_type == "wav2vec2-bert":
        stacked = 2 if config.feature_projection_input_dim % 2 == 0 else 1
        options |= {
            "frontend": "stacked_frames",
            "num_stacked_frames": stacked,
            "num_mel_bins": config.feature_projection_input_dim // stacked,
            "conv_causal": True,
            "conv_norm": "layer",
            "left_max_position_embeddings": config.left_max_position_embeddings,
            "right_max_position_embeddings": config.right_max_position_embeddings,
        }
    else:
        if config.layer_norm_eps != 1e-5:
            raise ValueError(
                f"{source} has layer_norm_eps={config.layer_norm_eps}. Wav2Vec2Conformer uses it in two places and "
                "1e-5 in all others; our encoder has one for all, so only 1e-5 can be loaded."
            )
        names = ("conv_dim", "conv_kernel", "conv_stride", "conv_bias", "feat_extract_norm", "feat_extract_activation")
        options |= {"frontend": "waveform", "conv_norm": "batch", "final_layer_norm": True}
        options |= {name: getattr(config, name) for name in names}
    return ConformerEncoderConfig(**options)


def rename_weights(
    state_dict: Mapping[str, Tensor], known: SourceFormat, source: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights in our names, and what was left out with its reasons.

    Raises:
        ValueError: naming every weight that no rule knows.
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
        for rule in known.rules:
            match = re.fullmatch(rule.source, name)
            if match:
                renamed[match.expand(rule.ours)] = tensor.detach()[..., 0] if rule.drop_last_axis else tensor.detach()
                break
        else:
            unknown.append(name)
    if unknown:
        raise ValueError(f"{source}: there is no place in our encoder for {list_names(unknown)}.")
    return renamed, left_out


def refuse_unknown(names: Iterable[str], known: SourceFormat, source: str) -> None:
    """Names in the files that the source's own class does not know must at least be known here.

    Raises:
        ValueError: naming those that are not.
    """
    short = [name.removeprefix(known.prefix) for name in names]
    unknown = [name for name in short if reason_to_leave_out(name, known) is None]
    if unknown:
        raise ValueError(f"{source}: the checkpoint holds unknown weights: {list_names(unknown)}.")


def reason_to_leave_out(name: str, known: SourceFormat) -> str | None:
    """Why a weight of the source has no place here; None for one that needs a place."""
    return next((reason for pattern, reason in known.left_out.items() if re.fullmatch(pattern, name)), None)


def check_names(own: Mapping[str, Tensor], given: Mapping[str, Tensor], source: str) -> None:
    """Every weight of ours is given or is new, every given one has a place, and shapes agree.

    Raises:
        ValueError: naming all that do not.
    """
    new = [name for name in own if any(re.fullmatch(pattern, name) for pattern in NEW_KEYS)]
    problems = []
    missing = [name for name in own if name not in given and name not in new]
    if missing:
        problems.append(f"nothing for {list_names(missing)}")
    surplus = [name for name in given if name not in own]
    if surplus:
        problems.append(f"no place for {list_names(surplus)}")
    shapes = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in given.items()
        if name in own and tensor.shape != own[name].shape
    ]
    if shapes:
        problems.append(f"other shapes: {list_names(shapes)}")
    if problems:
        raise ValueError(
            f"{source} does not fit this model: {'; '.join(problems)}. Make the model with the configuration that "
            "load_speech_encoder(...).build_config() gives."
        )


def find_encoder(model: nn.Module) -> Mu2SLAMEncoder | ConformerEncoder:
    """The encoder inside a model, with its front end where it has one.

    Raises:
        ValueError: there is none.
    """
    for kind in (Mu2SLAMEncoder, ConformerEncoder):
        for module in model.modules():
            if isinstance(module, kind):
                return module
    raise ValueError(f"{type(model).__name__} holds no encoder of this package.")


def list_names(names: list[str], most: int = 12) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


__all__ = ["SpeechEncoderWeights", "build_from_speech_encoder", "load_speech_encoder"]
