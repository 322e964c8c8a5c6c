# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Import of trained encoders: `Wav2Vec2Bert` (w2v-BERT 2.0), `Wav2Vec2Conformer`, mSLAM and Mu2SLAM checkpoints.

Every weight of the source must be mapped or be in a list of omitted weights, and every weight of the model must be
loaded or be in the list of new weights. Anything else is an error, so that an encoder is never loaded partially.
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
from mu2slam_hf.models.task_types import SPEECH

OWN_SOURCES = ("mslam", "mslam_ctc", "maestro", "mu2slam")
"""Model types of this package whose encoder can initialise another model."""

# Weights that speech encoders do not have: they are newly initialised, except for the two tables of ZEROED, so that
# the output for speech equals that of the source.
NEW_KEYS = (
    r"embed_(tokens|languages|modalities)\.weight",
    r"text_norm\.(weight|bias)",
    r"text_frontend\..*",
    r"(conformer\.)?layers\.\d+\.adapters\..*",
    r"(input|output)_projection\.(weight|bias)",
)
ZEROED = ("embed_languages", "embed_modalities")
# Weights of mSLAM that Mu2SLAM does not have, with reasons.
LEFT_OUT_OF_MSLAM = {
    r"text_norm\..*": "normalises text before mSLAM's shared layers; in Mu2SLAM text enters the first layer",
    r"text_frontend\..*": "encodes Maestro's text before its shared layers",
    r"speech_projection\..*": "the linear projection between mSLAM's stacks; absent with add_speech_projection=False",
}


@dataclass(frozen=True)
class SpeechEncoderWeights:
    """Weights of a speech encoder, with the names of this package.

    Args:
        config: configuration of the encoder.
        state_dict: maps names in a [`Mu2SLAMEncoder`] (`subsampling.*`, `conformer.*`) to tensors.
        source: source of the weights, for messages.
        left_out: maps omitted names of the source to reasons.
        mask_embedding: `(D,)` embedding of masked frames in the source, or None.
        token_table: `(V, D)` token embeddings of an mSLAM model, or None; for `load_tokens_into`.
    """

    config: ConformerEncoderConfig
    state_dict: dict[str, Tensor] = field(repr=False)
    source: str
    left_out: dict[str, str] = field(repr=False)
    mask_embedding: Tensor | None = field(default=None, repr=False)
    token_table: Tensor | None = field(default=None, repr=False)

    def build_config(self, decoder_config: PreTrainedConfig | dict | None = None, **shared: Any) -> Mu2SLAMConfig:
        """A configuration of Mu2SLAM with this encoder.

        Args:
            decoder_config: configuration of the decoder; its width and heads default to the encoder's.
            **shared: `vocab_size`, `languages` and all other keys of [`Mu2SLAMConfig`].
        """
        if decoder_config is None or isinstance(decoder_config, dict):
            sizes = {"hidden_size": self.config.hidden_size, "num_attention_heads": self.config.num_attention_heads}
            decoder_config = {**sizes, "intermediate_size": self.config.intermediate_size, **(decoder_config or {})}
        encoder_config = copy.deepcopy(self.config)
        return Mu2SLAMConfig(encoder_config=encoder_config, decoder_config=decoder_config, **shared)

    def load_into(self, model: nn.Module) -> None:
        """Copy the weights into a model of this package.

        Args:
            model: a [`ConformerEncoder`], a [`Mu2SLAMEncoder`], an [`MSLAMModel`], or a model that contains one. The
                language and modality embeddings of the encoder are set to zero, so that its output for speech equals
                that of the source. Choice: with random initialisation they would add noise to a trained encoder.

        Raises:
            ValueError: weights are missing, unexpected, or have another shape; the message contains their names.
        """
        encoder, state_dict = find_own_encoder(model), self.state_dict
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
        """Copy the source's embedding of masked frames to the row of [MASK], if the source has one."""
        if self.mask_embedding is None:
            return
        encoder: Any = find_own_encoder(model)
        table = encoder.get_input_embeddings()
        with torch.no_grad():
            table.weight[encoder.config.mask_token_id] = self.mask_embedding / table.scale

    def load_tokens_into(self, model: nn.Module) -> None:
        """Copy the token embeddings of an mSLAM model, which must have the same tokenizer.

        Raises:
            ValueError: the source has none, or their shape differs.
        """
        table: Any = find_own_encoder(model).get_input_embeddings()
        if self.token_table is None or self.token_table.shape != table.weight.shape:
            own = None if self.token_table is None else tuple(self.token_table.shape)
            raise ValueError(f"{self.source}: token embeddings are {own}, expected {tuple(table.weight.shape)}.")
        with torch.no_grad():
            table.weight.copy_(self.token_table)


def load_speech_encoder(name_or_model: str | PreTrainedModel, **kwargs: Any) -> SpeechEncoderWeights:
    """Load a trained speech encoder, with the names of this package.

    `load_speech_encoder("facebook/w2v-bert-2.0")` returns the configuration and the weights;
    `build_from_speech_encoder` creates a model from them. In evaluation mode the outputs equal those of the source for
    utterances without padding; this encoder also returns them in a padded batch. Dropout differs: one probability on
    every residual branch, no layer drop.

    Args:
        name_or_model: a folder, a name on the Hub, or a model, with or without a head: `Wav2Vec2Bert`,
            `Wav2Vec2Conformer`, or an mSLAM model of this package (to initialise Mu2SLAM).
        **kwargs: passed to `from_pretrained` (`revision`, `token`, `dtype`, ...); ignored for a model.

    Raises:
        ValueError: another kind of model, an encoder with an adapter, an unexpected weight, or an incomplete
            checkpoint.
    """
    info: dict[str, Any] = {"missing_keys": [], "unexpected_keys": []}
    is_model = isinstance(name_or_model, PreTrainedModel)
    model: Any = name_or_model
    source = type(name_or_model).__name__ if is_model else str(name_or_model)
    options = {name: value for name, value in kwargs.items() if name != "dtype"}
    config = model.config if is_model else AutoConfig.from_pretrained(source, **options)
    known = FORMATS.get(config.model_type)
    if known is None and config.model_type not in OWN_SOURCES:
        *types, last = (*FORMATS, *OWN_SOURCES)
        raise ValueError(
            f"{source}: expected a speech encoder of type {', '.join(types)} or {last}, got {config.model_type!r}."
        )
    our_config = copy.deepcopy(config.encoder_config) if known is None else convert_config(config, source)
    if not is_model:
        model, info = AutoModel.from_pretrained(source, output_loading_info=True, **{"dtype": torch.float32, **kwargs})
    if known is None:
        check_complete(info["missing_keys"], source)
        read = read_mu2slam if config.model_type == "mu2slam" else read_mslam
        return read(model, source, our_config)
    refuse_unknown(info["unexpected_keys"], known, source)
    state_dict, left_out = rename_weights(model.state_dict(), known, source)
    missing = [name.removeprefix(known.prefix) for name in info["missing_keys"]]
    check_complete([name for name in missing if name not in left_out], source)
    own = model.base_model
    return SpeechEncoderWeights(
        config=our_config,
        state_dict=state_dict,
        source=source,
        left_out=left_out,
        mask_embedding=own.masked_spec_embed.detach() if hasattr(own, "masked_spec_embed") else None,
    )


def check_complete(missing: Iterable[str], source: str) -> None:
    """Raises ValueError if weights are missing from a checkpoint."""
    if missing := sorted(missing):
        raise ValueError(f"{source}: no weights for {list_names(missing)}.")


def read_mslam(model: PreTrainedModel, source: str, config: ConformerEncoderConfig) -> SpeechEncoderWeights:
    """The encoder of an mSLAM model, to initialise Mu2SLAM; names do not change.

    Choice: the paper's linear projection between the stacks of mSLAM is omitted (see `left_out`), because Mu2SLAM has
    a single stack.

    Args:
        model: the mSLAM model.
        source: its name, for messages.
        config: configuration of its encoder.
    """
    state_dict = {name: tensor.detach() for name, tensor in find_own_encoder(model).state_dict().items()}
    tokens = state_dict.pop("embed_tokens.weight")
    reasons = {name: reason for name in state_dict for p, reason in LEFT_OUT_OF_MSLAM.items() if re.fullmatch(p, name)}
    return SpeechEncoderWeights(
        config=config,
        state_dict={name: tensor for name, tensor in state_dict.items() if name not in reasons},
        source=source,
        left_out=reasons,
        token_table=tokens,
    )


def read_mu2slam(model: PreTrainedModel, source: str, config: ConformerEncoderConfig) -> SpeechEncoderWeights:
    """The encoder of a Mu2SLAM, to initialise a model without embeddings of language and modality.

    Those of the language `und` and of speech, which Mu2SLAM adds to all frames, become part of the bias of the front
    end, so that the output for speech equals that of the source.

    Args:
        model: the Mu2SLAM model.
        source: its name, for messages.
        config: configuration of its encoder.

    Raises:
        ValueError: an encoder whose embeddings have another width than its layers.
    """
    encoder = find_own_encoder(model)
    assert isinstance(encoder, Mu2SLAMEncoder)
    if encoder.input_projection is not None:
        raise ValueError(f"{source}: the embeddings of its encoder have another width than its layers.")
    weights = {name: tensor.detach() for name, tensor in encoder.state_dict().items()}
    reason = "part of the bias of the front end, or of the embedding of masked frames"
    left_out = {f"{name}.weight": reason for name in ("embed_tokens", *ZEROED)}
    constant = weights["embed_languages.weight"][0] + weights["embed_modalities.weight"][SPEECH]
    mask = encoder.embed_tokens(torch.tensor(encoder.config.mask_token_id, device=constant.device)).detach()
    state_dict = {name: tensor for name, tensor in weights.items() if name not in left_out}
    bias = "subsampling.linear.bias"
    return SpeechEncoderWeights(
        config=config,
        state_dict={**state_dict, bias: state_dict[bias] + constant},
        source=source,
        left_out=left_out,
        mask_embedding=mask + constant,
    )


def _as_weights(name_or_model: str | PreTrainedModel | SpeechEncoderWeights) -> SpeechEncoderWeights:
    return name_or_model if isinstance(name_or_model, SpeechEncoderWeights) else load_speech_encoder(name_or_model)


def build_from_speech_encoder(
    name_or_model: str | PreTrainedModel | SpeechEncoderWeights,
    model_class: type[PreTrainedModel] | None = None,
    decoder_config: PreTrainedConfig | dict | None = None,
    **shared: Any,
) -> PreTrainedModel:
    """A new Mu2SLAM model with a pretrained speech encoder, in evaluation mode.

    Args:
        name_or_model: as in `load_speech_encoder`, or its result.
        model_class: a Mu2SLAM model class; `Mu2SLAMForPreTraining` by default.
        decoder_config: as in `SpeechEncoderWeights.build_config`.
        **shared: `vocab_size`, `languages` and all other keys of `Mu2SLAMConfig`.
    """
    if model_class is None:
        from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining

        model_class = Mu2SLAMForPreTraining
    weights = _as_weights(name_or_model)
    model = model_class(weights.build_config(decoder_config, **shared))
    weights.load_into(model)
    return model.eval()


def build_mslam_from_speech_encoder(
    name_or_model: str | PreTrainedModel | SpeechEncoderWeights,
    num_speech_layers: int,
    model_class: type[PreTrainedModel] | None = None,
    **shared: Any,
) -> PreTrainedModel:
    """A new mSLAM model with a pretrained speech encoder, to continue its self-supervised training.

    There is no linear projection between the stacks, and masked frames are replaced by the source's embedding of
    masked frames, which becomes the row of [MASK]. The output for speech therefore equals that of the source, masked
    or not, and `export_speech_encoder` can save the trained encoder in the format of the source. Token embeddings,
    text norm, quantiser and heads are newly initialised.

    Args:
        name_or_model: as in `load_speech_encoder`, or its result.
        num_speech_layers: number of layers that process speech only; text enters after them. 8 of the 24 layers of
            w2v-BERT 2.0 correspond to the paper.
        model_class: an mSLAM model class; `MSLAMForPreTraining` by default.
        **shared: `vocab_size`, `languages` and all other keys of `MSLAMConfig`.

    Returns:
        the model in evaluation mode.

    Raises:
        ValueError: as in `load_speech_encoder`.
        StrictDataclassError: one of the stacks would be empty.
    """
    if model_class is None:
        from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining

        model_class = MSLAMForPreTraining
    weights = _as_weights(name_or_model)
    own = {"add_speech_projection": False, "speech_mask": "learned"}
    config: Any = (model_class.config_class or MSLAMConfig)(
        encoder_config=copy.deepcopy(weights.config), num_speech_layers=num_speech_layers, **{**own, **shared}
    )
    model = model_class(config)
    weights.load_into(model)
    if config.speech_mask == "learned":
        weights.load_mask_into(model)
    return model.eval()


def check_names(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    source: str,
    *,
    new_keys: Iterable[str] = NEW_KEYS,
    advice: str = " Create the model with the configuration from load_speech_encoder(...).build_config().",
) -> None:
    """Check that names and shapes of weights match those of a model, except for new weights.

    Args:
        own: weights of the model.
        given: weights of the source, with our names.
        source: source of the weights, for the message.
        new_keys: regular expressions of names that the source need not have.
        advice: end of the message.

    Raises:
        ValueError: weights are missing, unexpected, or have another shape; the message contains their names.
    """
    new = [name for name in own if any(re.fullmatch(pattern, name) for pattern in new_keys)]
    problems = {
        "missing weights": [name for name in own if name not in given and name not in new],
        "unexpected weights": [name for name in given if name not in own],
        "shape mismatch": [
            f"{name} {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
            for name, tensor in given.items()
            if name in own and tensor.shape != own[name].shape
        ],
    }
    if any(problems.values()):
        text = "; ".join(f"{problem}: {list_names(names)}" for problem, names in problems.items() if names)
        raise ValueError(f"{source}: state dict mismatch: {text}.{advice}")


def find_own_encoder(model: nn.Module) -> Mu2SLAMEncoder | MSLAMModel | ConformerEncoder:
    """The encoder of a model, with its front end if it has one.

    Raises:
        ValueError: the model has no encoder of this package.
    """
    for module in model.modules():
        # A module with a front end precedes the layers that it contains.
        if isinstance(module, (Mu2SLAMEncoder, MSLAMModel, ConformerEncoder)):
            return module
    raise ValueError(f"{type(model).__name__} has no encoder of this package.")


__all__ = [
    "SpeechEncoderWeights",
    "build_from_speech_encoder",
    "build_mslam_from_speech_encoder",
    "load_speech_encoder",
]
