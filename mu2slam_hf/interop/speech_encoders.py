# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Trained encoders as a start: `Wav2Vec2Bert` (w2v-BERT 2.0) and `Wav2Vec2Conformer` checkpoints, and mSLAM's.

Every name of the source stands in a map below or in the list of what is left out on purpose; every weight of ours is
filled or is named as new. Anything else is an error that names the weight: half an encoder is worse than none.
"""

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from mu2slam_hf.interop.speech_encoder_formats import (
    FORMATS,
    convert_config,
    list_names,
    refuse_unknown,
    rename_weights,
)
from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.configuration_mslam import MSLAMConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_conformer import ConformerEncoder
from mu2slam_hf.models.modeling_mslam import MSLAMModel
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoder

OWN_SOURCES = ("mslam", "mslam_ctc")
"""Model types of this package whose encoder a Mu2SLAM may start from."""

# Weights of our encoders that no speech encoder has: they stay as the model was made, except for the two tables of
# ZEROED, so that speech comes out of the encoder as it came out of the source.
NEW_KEYS = (r"embed_(tokens|languages|modalities)\.weight", r"text_norm\.(weight|bias)")
ZEROED = ("embed_languages", "embed_modalities")
# Weights of mSLAM that have no place in Mu2SLAM, each with its reason.
LEFT_OUT_OF_MSLAM = {
    r"text_norm\..*": "the norm of text where it enters mSLAM's shared layers; here it enters the first layer",
    r"speech_projection\..*": "the linear map between mSLAM's stacks; there is none with add_speech_projection=False",
}


@dataclass(frozen=True)
class SpeechEncoderWeights:
    """An encoder of another package in our names.

    Args:
        config: what our encoder must be to hold it.
        state_dict: name in a [`Mu2SLAMEncoder`] (`subsampling.*`, `conformer.*`) -> tensor.
        source: where it came from, for messages.
        left_out: names of the source without a place here -> reason.
        mask_embedding: `(D,)` what the source puts in place of a masked frame, or None.
        token_table: `(V, D)` token embeddings of an mSLAM, or None; for `load_tokens_into`.
    """

    config: ConformerEncoderConfig
    state_dict: dict[str, Tensor] = field(repr=False)
    source: str
    left_out: dict[str, str] = field(repr=False)
    mask_embedding: Tensor | None = field(default=None, repr=False)
    token_table: Tensor | None = field(default=None, repr=False)

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
            model: a [`ConformerEncoder`], a [`Mu2SLAMEncoder`], an [`MSLAMModel`], or a model that holds one. The
                tables of languages and modalities of the encoder are set to zero: speech then comes out as from the
                source. Choice: they are new, they learn from there, and what they would add is noise to a trained
                encoder.

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

    def load_mask_into(self, model: nn.Module) -> None:
        """Make the source's embedding of masked frames the row of [MASK]; nothing where the source has none."""
        if self.mask_embedding is None:
            return
        encoder: Any = find_encoder(model)
        table = encoder.get_input_embeddings()
        with torch.no_grad():
            table.weight[encoder.config.mask_token_id] = self.mask_embedding / table.scale

    def load_tokens_into(self, model: nn.Module) -> None:
        """Copy the table of tokens of an mSLAM; only right where both have the same tokenizer.

        Raises:
            ValueError: the source has none, or one of another size.
        """
        table: Any = find_encoder(model).get_input_embeddings()
        if self.token_table is None or self.token_table.shape != table.weight.shape:
            own = None if self.token_table is None else tuple(self.token_table.shape)
            raise ValueError(f"{self.source}: its table of tokens is {own}, the model's {tuple(table.weight.shape)}.")
        with torch.no_grad():
            table.weight.copy_(self.token_table)


def load_speech_encoder(name_or_model: str | PreTrainedModel, **kwargs: Any) -> SpeechEncoderWeights:
    """Read a trained speech encoder into our names.

    `load_speech_encoder("facebook/w2v-bert-2.0")` gives the configuration and the weights;
    `build_from_speech_encoder` makes a model around them. In evaluation mode the outputs are those of the source, for
    utterances without padding; our encoder also gives them in a padded batch. Dropout in training is ours: one
    probability on every residual branch, no layer drop.

    Args:
        name_or_model: a folder, a name on the Hub, or a model, with or without a head: `Wav2Vec2Bert`,
            `Wav2Vec2Conformer`, or an mSLAM of this package, for a Mu2SLAM that starts from it.
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
    if config.model_type in OWN_SOURCES:
        return read_mslam(name_or_model, source, config, kwargs)
    known = FORMATS.get(config.model_type)
    if known is None:
        *types, last = (*FORMATS, *OWN_SOURCES)
        raise ValueError(
            f"{source}: expected a speech encoder of type {', '.join(types)} or {last}, got {config.model_type!r}."
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
    own = model.base_model
    return SpeechEncoderWeights(
        config=our_config,
        state_dict=state_dict,
        source=source,
        left_out=left_out,
        mask_embedding=own.masked_spec_embed.detach() if hasattr(own, "masked_spec_embed") else None,
    )


def read_mslam(
    name_or_model: str | PreTrainedModel, source: str, config: Any, options: dict[str, Any]
) -> SpeechEncoderWeights:
    """The encoder of an mSLAM for a Mu2SLAM: its names are ours already.

    Choice: an mSLAM that was trained with the paper's linear map between its stacks loses it here, with a reason in
    `left_out`, because Mu2SLAM's layers follow one another.

    Raises:
        ValueError: the checkpoint lacks some of the encoder.
    """
    model: Any = name_or_model
    if not isinstance(name_or_model, PreTrainedModel):
        options.setdefault("dtype", torch.float32)
        model, info = AutoModel.from_pretrained(source, output_loading_info=True, **options)
        if info["missing_keys"]:
            raise ValueError(f"{source}: the checkpoint lacks {list_names(sorted(info['missing_keys']))}.")
    state_dict = {name: tensor.detach() for name, tensor in find_encoder(model).state_dict().items()}
    tokens = state_dict.pop("embed_tokens.weight")
    reasons = {name: reason for name in state_dict for p, reason in LEFT_OUT_OF_MSLAM.items() if re.fullmatch(p, name)}
    return SpeechEncoderWeights(
        config=copy.deepcopy(config.encoder_config),
        state_dict={name: tensor for name, tensor in state_dict.items() if name not in reasons},
        source=source,
        left_out=reasons,
        token_table=tokens,
    )


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


def build_mslam_from_speech_encoder(
    name_or_model: str | PreTrainedModel | SpeechEncoderWeights,
    num_speech_layers: int,
    model_class: type[PreTrainedModel] | None = None,
    **shared: Any,
) -> PreTrainedModel:
    """A new mSLAM whose encoder is a public speech encoder: its self-supervised training goes on with our losses.

    There is no linear map between the stacks, and masked frames are replaced by the source's own embedding of masked
    frames, which becomes the row of [MASK]. So speech comes out of the encoder as from the source, masked or not, and
    `export_speech_encoder` can write the trained encoder in the source's format again. Text, its table and its norm,
    the quantiser and the heads are new.

    Args:
        name_or_model: as in `load_speech_encoder`, or what it returned.
        num_speech_layers: layers that only speech goes through; text enters above them. Of w2v-BERT 2.0, 8 of 24 would
            be mSLAM's own share.
        model_class: of the mSLAM family; `MSLAMForPreTraining` by default.
        **shared: `vocab_size`, `languages` and all other keys of `MSLAMConfig`.

    Returns:
        the model in evaluation mode.

    Raises:
        ValueError: as `load_speech_encoder`.
        StrictDataclassError: the number of layers leaves one of the stacks empty.
    """
    if model_class is None:
        from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining

        model_class = MSLAMForPreTraining
    weights = name_or_model
    if not isinstance(weights, SpeechEncoderWeights):
        weights = load_speech_encoder(weights)
    own = {"add_speech_projection": False, "speech_mask": "learned"}
    config: Any = (model_class.config_class or MSLAMConfig)(
        encoder_config=copy.deepcopy(weights.config), num_speech_layers=num_speech_layers, **{**own, **shared}
    )
    model = model_class(config)
    weights.load_into(model)
    if config.speech_mask == "learned":
        weights.load_mask_into(model)
    return model.eval()


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


def find_encoder(model: nn.Module) -> Mu2SLAMEncoder | MSLAMModel | ConformerEncoder:
    """The encoder inside a model, with its front end where it has one.

    Raises:
        ValueError: there is none.
    """
    for module in model.modules():
        # The front end's holder comes before the layers that it holds.
        if isinstance(module, (Mu2SLAMEncoder, MSLAMModel, ConformerEncoder)):
            return module
    raise ValueError(f"{type(model).__name__} holds no encoder of this package.")


__all__ = [
    "SpeechEncoderWeights",
    "build_from_speech_encoder",
    "build_mslam_from_speech_encoder",
    "load_speech_encoder",
]
