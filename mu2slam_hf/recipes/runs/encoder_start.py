# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`model.init_encoder_from`: a new model that starts from a trained encoder and its feature extractor."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.utils import logging

from mu2slam_hf.interop.speech_encoder_formats import FORMATS, TRAINING_FIELDS, convert_config
from mu2slam_hf.interop.speech_encoders import OWN_SOURCES, SpeechEncoderWeights, load_speech_encoder
from mu2slam_hf.interop.speech_extractors import load_feature_extractor
from mu2slam_hf.models.configuration_conformer import ADAPTER_FIELDS, ConformerEncoderConfig
from mu2slam_hf.models.modules_speech_inputs import describe_mismatch
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.processing_speech_tokenizer import SPEECH_TOKENIZER_FOLDER, log_mel_extractor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer
from mu2slam_hf.quantization.tokenizer_loading import load_speech_tokenizer
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.sections import ModelSection

logger = logging.get_logger(__name__)

PATH = "model.init_encoder_from"


@dataclass(frozen=True)
class EncoderStart:
    """A trained encoder in a folder.

    Attributes:
        folder: folder of the encoder.
        config: configuration of our encoder with its sizes.
        weights: weights under our names.
    """

    folder: str
    config: ConformerEncoderConfig
    weights: SpeechEncoderWeights

    def fit_payload(self, payload: dict[str, Any], overrides: Mapping[str, Any], config_class: Any) -> None:
        """Set the encoder of a configuration, and the width of the decoder to that of the encoder.

        Choice: the encoder is that of the source and replaces the one of `model.config`. If the decoder of
        `model.config` has another width, it takes width, heads and feed-forward from the encoder.

        Args:
            payload: of `model.config`; changed in place.
            overrides: of the recipe; they are applied afterwards.
            config_class: of the model.

        Raises:
            RecipeError: an override contradicts the source.
        """
        width = self.config.hidden_size
        for name, value in _flatten(overrides).items():
            part, _, key = name.partition(".")
            fixed = {"encoder_config": self.config.to_dict(), "decoder_config": {"hidden_size": width}}.get(part, {})
            if key in fixed and key not in (*TRAINING_FIELDS, *ADAPTER_FIELDS) and value != fixed[key]:
                raise RecipeError(
                    f"model.overrides.{name}: {value!r} does not fit the encoder of {self.folder}, which has "
                    f"{fixed[key]!r}; leave it out"
                )
        payload["encoder_config"] = self.config.to_dict()
        if "decoder_config" in config_class.sub_configs_defaults:
            decoder = payload.setdefault("decoder_config", {})
            if decoder.get("hidden_size") != width:
                names = ("hidden_size", "num_attention_heads", "intermediate_size")
                decoder.update({name: getattr(self.config, name) for name in names})
        else:
            # Without a projection between its layers; masked frames are those of a source that is no mSLAM.
            payload["add_speech_projection"] = False
            if self.weights.token_table is None:
                payload["speech_mask"] = "learned"
            elif config_class.model_type != "maestro":
                raise RecipeError(f"{PATH}: {self.folder} is an mSLAM itself; start from it with model.init_from")

    def load_into(self, model: Any, processor: Mu2SLAMProcessor) -> None:
        """Copy the weights into a new model.

        The token embeddings of an mSLAM are copied too, if its tokenizer is that of the run.

        Raises:
            RecipeError: the weights do not fit the model.
        """
        try:
            self.weights.load_into(model)
            if self.weights.token_table is None:
                self.weights.load_mask_into(model)
            elif _has_tokenizer(self.folder, processor.tokenizer):
                self.weights.load_tokens_into(model)
            else:
                logger.warning(f"{PATH}: the tokenizers differ, so the token embeddings are trained from scratch.")
        except ValueError as error:
            raise RecipeError(f"{PATH}: {error}") from error
        if any(name.startswith("speech_projection.") for name in self.weights.left_out):
            logger.warning(
                f"{PATH}: {self.folder} has a linear map between its speech layers and its shared layers, which is "
                "not loaded; the layers above it get other inputs than in training. An mSLAM trained with "
                "add_speech_projection: false is loaded completely."
            )


def load_encoder_start(section: ModelSection) -> EncoderStart | None:
    """The encoder that a recipe starts from, or None.

    Raises:
        RecipeError: a folder without such an encoder, or `model.init_from` in the same recipe.
    """
    folder = section.init_encoder_from
    if folder is None:
        return None
    if section.init_from is not None:
        raise RecipeError(
            f"{PATH}: cannot be combined with init_from, which includes an encoder; use it alone or with config"
        )
    _read_config(folder)
    try:
        weights = load_speech_encoder(folder)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{PATH}: {error}") from error
    return EncoderStart(folder, weights.config, weights)


def load_start_processor(folder: str) -> Mu2SLAMProcessor | None:
    """The processor saved next to an mSLAM, for a Mu2SLAM that starts from it; None if there is none."""
    if _read_config(folder).model_type != "mslam" or not (Path(folder) / "processor_config.json").is_file():
        return None
    processor: Mu2SLAMProcessor = Mu2SLAMProcessor.from_pretrained(folder)
    return processor


def load_start_extractor(folder: str) -> Any:
    """The feature extractor of a trained encoder: the one saved next to it, else the default of its type.

    Raises:
        RecipeError: none is saved and the type has no default, or its output does not match the encoder.
    """
    config = _read_config(folder)
    try:
        extractor = load_feature_extractor(folder, config)
    except ValueError as error:
        raise RecipeError(f"{PATH}: {error}") from error
    is_ours = config.model_type in OWN_SOURCES
    mismatch = describe_mismatch(extractor, config.encoder_config if is_ours else convert_config(config, folder))
    if mismatch is not None:
        raise RecipeError(f"{PATH}: {folder}: {mismatch}")
    return extractor


def fit_processor(section: ModelSection, processor: Mu2SLAMProcessor, folder: str) -> Mu2SLAMProcessor:
    """A processor that was saved for another model, with the feature extractor of the encoder that a run starts from.

    Args:
        section: of the recipe.
        processor: as it was saved.
        folder: where it was saved.
    """
    if section.init_encoder_from is None:
        return processor
    extractor = load_start_extractor(section.init_encoder_from)
    speech_tokenizer = processor.speech_tokenizer
    if speech_tokenizer is not None and not speech_tokenizer.config.reads_waveforms:
        # Its ids stay those of the features that it was trained on.
        reads = log_mel_extractor(extractor, speech_tokenizer.config.num_mel_bins)
        speech_tokenizer = load_speech_tokenizer(Path(folder) / SPEECH_TOKENIZER_FOLDER, reads)
    return Mu2SLAMProcessor(
        extractor, processor.tokenizer, speech_tokenizer=speech_tokenizer, languages=processor.languages
    )


def _read_config(folder: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{PATH}: {folder} has no readable encoder: {error}") from error
    if config.model_type not in (*FORMATS, *OWN_SOURCES):
        known = ", ".join((*FORMATS, *OWN_SOURCES))
        raise RecipeError(
            f"{PATH}: expected a folder with a model of type {known}; {folder} has {config.model_type!r}"
        )
    return config


def _has_tokenizer(folder: str, tokenizer: Mu2SLAMTokenizer) -> bool:
    """Whether the tokenizer saved in a folder has the ids of this one."""
    if not (Path(folder) / "tokenizer.json").is_file():
        return False
    return bool(type(tokenizer).from_pretrained(folder).get_vocab() == tokenizer.get_vocab())


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
