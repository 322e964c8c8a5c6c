# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model types of the package and their registration with transformers' Auto classes."""

from dataclasses import dataclass
from typing import Any

import transformers
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC, AutoProcessor, AutoTokenizer

from .configuration_conformer import ConformerEncoderConfig
from .configuration_mslam import MSLAMConfig, MSLAMCTCConfig
from .configuration_mu2slam import Mu2SLAMConfig, Mu2SLAMCTCConfig, Mu2SLAMDecoderConfig
from .configuration_speech_tokenizer import SpeechTokenizerConfig
from .feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from .modeling_conformer import ConformerEncoder
from .modeling_mslam import (
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForQuestionAnswering,
    MSLAMForSequenceClassification,
    MSLAMModel,
)
from .modeling_mslam_pretraining import MSLAMForPreTraining
from .modeling_mu2slam import (
    Mu2SLAMDecoder,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMModel,
)
from .modeling_mu2slam_classification import Mu2SLAMForAudioClassification
from .modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from .modeling_mu2slam_understanding import Mu2SLAMForQuestionAnswering, Mu2SLAMForSequenceClassification
from .modeling_speech_tokenizer import SpeechTokenizerModel
from .pipeline_audio_classification import Mu2SLAMAudioClassificationPipeline
from .pipeline_feature_extraction import Mu2SLAMFeatureExtractionPipeline
from .pipeline_mu2slam import Mu2SLAMSpeechRecognitionPipeline
from .pipeline_question_answering import Mu2SLAMQuestionAnsweringPipeline
from .pipeline_registration import register_for_task, register_new_task
from .pipeline_translation import Mu2SLAMTranslationPipeline
from .processing_mu2slam import Mu2SLAMProcessor
from .tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer


@dataclass(frozen=True)
class ModelType:
    """The classes of one `model_type`.

    Args:
        config: configuration class.
        models: maps names of Auto classes to model classes.
        feature_extractor: feature extractor class, or None.
        tokenizer: tokenizer class, or None.
        processor: processor class, or None.
    """

    config: type
    models: dict[str, type]
    feature_extractor: type | None = None
    tokenizer: type | None = None
    processor: type | None = None

    @property
    def classes(self) -> list[type]:
        """Every class of the model type."""
        parts = (self.feature_extractor, self.tokenizer, self.processor)
        return [self.config, *self.models.values(), *(part for part in parts if part is not None)]


_SPEECH_TEXT = {"feature_extractor": Mu2SLAMFeatureExtractor, "processor": Mu2SLAMProcessor}

MODEL_TYPES: dict[str, ModelType] = {
    "mu2slam": ModelType(
        config=Mu2SLAMConfig,
        models={
            "AutoModel": Mu2SLAMModel,
            "AutoModelForSpeechSeq2Seq": Mu2SLAMForConditionalGeneration,
            "AutoModelForSeq2SeqLM": Mu2SLAMForConditionalGeneration,
            "AutoModelForPreTraining": Mu2SLAMForPreTraining,
            "AutoModelForAudioClassification": Mu2SLAMForAudioClassification,
            "AutoModelForSequenceClassification": Mu2SLAMForSequenceClassification,
            "AutoModelForQuestionAnswering": Mu2SLAMForQuestionAnswering,
        },
        tokenizer=Mu2SLAMTokenizer,
        **_SPEECH_TEXT,
    ),
    "mu2slam_ctc": ModelType(
        config=Mu2SLAMCTCConfig,
        models={"AutoModel": Mu2SLAMForCTC, "AutoModelForCTC": Mu2SLAMForCTC},
        tokenizer=Mu2SLAMCTCTokenizer,
        **_SPEECH_TEXT,
    ),
    "mslam": ModelType(
        config=MSLAMConfig,
        models={
            "AutoModel": MSLAMModel,
            "AutoModelForPreTraining": MSLAMForPreTraining,
            "AutoModelForSequenceClassification": MSLAMForSequenceClassification,
            "AutoModelForQuestionAnswering": MSLAMForQuestionAnswering,
            "AutoModelForAudioClassification": MSLAMForAudioClassification,
        },
        tokenizer=Mu2SLAMTokenizer,
        **_SPEECH_TEXT,
    ),
    "mslam_ctc": ModelType(
        config=MSLAMCTCConfig,
        models={"AutoModel": MSLAMForCTC, "AutoModelForCTC": MSLAMForCTC},
        tokenizer=Mu2SLAMCTCTokenizer,
        **_SPEECH_TEXT,
    ),
    "mu2slam_decoder": ModelType(config=Mu2SLAMDecoderConfig, models={"AutoModel": Mu2SLAMDecoder}),
    "mu2slam_conformer": ModelType(config=ConformerEncoderConfig, models={"AutoModel": ConformerEncoder}),
    "mu2slam_speech_tokenizer": ModelType(config=SpeechTokenizerConfig, models={"AutoModel": SpeechTokenizerModel}),
}


class EncoderDecoderIsNoCTCModel:
    """What `AutoModelForCTC` finds for an encoder-decoder: an error that says how to get its CTC head.

    Registered as a CTC model, the speech recognition pipeline would load an encoder-decoder without its decoder,
    because it tries CTC models first.
    """

    config_class = Mu2SLAMConfig

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Raise the error.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{pretrained_model_name_or_path} is an encoder-decoder: use AutoModelForSpeechSeq2Seq, or load its "
            f"encoder and CTC head with Mu2SLAMForCTC.from_pretrained({str(pretrained_model_name_or_path)!r})."
        )

    @classmethod
    def _from_config(cls, config: Any, **kwargs: Any) -> Any:
        raise ValueError(
            "Mu2SLAMConfig is the configuration of an encoder-decoder: use AutoModelForSpeechSeq2Seq, or "
            "Mu2SLAMForCTC(Mu2SLAMCTCConfig.from_mu2slam_config(config))."
        )


class ModelForAnswers:
    """Loads the models of the pipeline for question answering: with a span head, or the encoder-decoder of a folder.

    By `AutoModelForQuestionAnswering` alone, a fine-tuned encoder-decoder would get an untrained span head.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """The model, of the class that its configuration names."""
        config = kwargs.get("config")
        if config is None:
            trusts = {"trust_remote_code": kwargs.get("trust_remote_code")}
            config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **trusts)
        writes = any(name.endswith("ForConditionalGeneration") for name in config.architectures or ())
        auto_name = "AutoModelForSeq2SeqLM" if writes else "AutoModelForQuestionAnswering"
        return getattr(transformers, auto_name).from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


def register_model_types() -> None:
    """Register every model type with the Auto classes and the pipelines; calling it again has no effect."""
    for name, model_type in MODEL_TYPES.items():
        AutoConfig.register(name, model_type.config, exist_ok=True)
        for auto_name, model_class in model_type.models.items():
            getattr(transformers, auto_name).register(model_type.config, model_class, exist_ok=True)
        if model_type.feature_extractor is not None:
            AutoFeatureExtractor.register(model_type.config, model_type.feature_extractor, exist_ok=True)
        if model_type.tokenizer is not None:
            AutoTokenizer.register(model_type.config, tokenizer_class=model_type.tokenizer, exist_ok=True)
        if model_type.processor is not None:
            AutoProcessor.register(model_type.config, model_type.processor, exist_ok=True)
    AutoModelForCTC.register(Mu2SLAMConfig, EncoderDecoderIsNoCTCModel, exist_ok=True)
    register_for_task("automatic-speech-recognition", Mu2SLAMSpeechRecognitionPipeline)
    register_for_task("audio-classification", Mu2SLAMAudioClassificationPipeline)
    register_for_task("feature-extraction", Mu2SLAMFeatureExtractionPipeline)
    register_new_task("translation", Mu2SLAMTranslationPipeline, transformers.AutoModelForSeq2SeqLM)
    register_new_task(
        "question-answering",
        Mu2SLAMQuestionAnsweringPipeline,
        ModelForAnswers,
    )
