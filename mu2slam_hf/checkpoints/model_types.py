# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model types of the package: the classes of each, by the names of their Auto classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.configuration_maestro import MaestroConfig
from mu2slam_hf.models.configuration_mslam import MSLAMConfig, MSLAMCTCConfig, MSLAMRNNTConfig
from mu2slam_hf.models.configuration_mu2slam import (
    Mu2SLAMConfig,
    Mu2SLAMCTCConfig,
    Mu2SLAMDecoderConfig,
    Mu2SLAMRNNTConfig,
)
from mu2slam_hf.models.configuration_speech_llm import SpeechLLMConfig
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.configuration_speech_text_dual_encoder import SpeechTextDualEncoderConfig
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_conformer import ConformerEncoder
from mu2slam_hf.models.modeling_maestro import MaestroModel
from mu2slam_hf.models.modeling_maestro_pretraining import MaestroForPreTraining
from mu2slam_hf.models.modeling_mslam import (
    MSLAMForAudioClassification,
    MSLAMForCTC,
    MSLAMForQuestionAnswering,
    MSLAMForSequenceClassification,
    MSLAMModel,
)
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.modeling_mu2slam import (
    Mu2SLAMDecoder,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMModel,
)
from mu2slam_hf.models.modeling_mu2slam_classification import Mu2SLAMForAudioClassification
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_mu2slam_understanding import (
    Mu2SLAMForQuestionAnswering,
    Mu2SLAMForSequenceClassification,
)
from mu2slam_hf.models.modeling_speech_llm import SpeechLLMForConditionalGeneration
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.modeling_speech_text_dual_encoder import SpeechTextDualEncoderModel
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modeling_transducer import MSLAMForRNNT, Mu2SLAMForRNNT
from mu2slam_hf.models.modules_capabilities import Capabilities, capabilities_of
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.processing_speech_llm import SpeechLLMProcessor
from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor
from mu2slam_hf.models.processing_speech_text_dual_encoder import SpeechTextDualEncoderProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer, Mu2SLAMTransducerTokenizer


@dataclass(frozen=True)
class ModelType:
    """The classes of one `model_type`.

    Args:
        config: configuration class.
        models: maps names of Auto classes to model classes.
        feature_extractor: feature extractor class, or None.
        tokenizer: tokenizer class; None if there is none, or that of another model.
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
    "mu2slam_rnnt": ModelType(
        config=Mu2SLAMRNNTConfig,
        # A CTC model too: the pipeline for speech recognition loads it as one.
        models=dict.fromkeys(("AutoModel", "AutoModelForRNNT", "AutoModelForCTC"), Mu2SLAMForRNNT),
        tokenizer=Mu2SLAMTransducerTokenizer,
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
    "maestro": ModelType(
        config=MaestroConfig,
        models={"AutoModel": MaestroModel, "AutoModelForPreTraining": MaestroForPreTraining},
        tokenizer=Mu2SLAMTokenizer,
        **_SPEECH_TEXT,
    ),
    "mslam_rnnt": ModelType(
        config=MSLAMRNNTConfig,
        models=dict.fromkeys(("AutoModel", "AutoModelForRNNT", "AutoModelForCTC"), MSLAMForRNNT),
        tokenizer=Mu2SLAMTransducerTokenizer,
        **_SPEECH_TEXT,
    ),
    "speech_llm": ModelType(
        config=SpeechLLMConfig,
        models={
            "AutoModelForSpeechSeq2Seq": SpeechLLMForConditionalGeneration,
            "AutoModelForMultimodalLM": SpeechLLMForConditionalGeneration,
        },
        feature_extractor=Mu2SLAMFeatureExtractor,
        processor=SpeechLLMProcessor,
    ),
    "speech_text_dual_encoder": ModelType(
        config=SpeechTextDualEncoderConfig,
        models={"AutoModel": SpeechTextDualEncoderModel},
        feature_extractor=Mu2SLAMFeatureExtractor,
        processor=SpeechTextDualEncoderProcessor,
    ),
    "mu2slam_speech_synthesizer": ModelType(
        config=SpeechSynthesizerConfig,
        models={"AutoModel": SpeechSynthesizerModel},
        feature_extractor=Mu2SLAMFeatureExtractor,
        processor=SpeechSynthesizerProcessor,
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


def model_class_of(config: Mapping[str, Any]) -> type | None:
    """The class of a model by the content of its `config.json`; None if it is not of this package."""
    name = (config.get("architectures") or [""])[0]
    classes = (model_class for model_type in MODEL_TYPES.values() for model_class in model_type.models.values())
    return next((model_class for model_class in classes if model_class.__name__ == name), None)


def declared_capabilities(config: Mapping[str, Any]) -> Capabilities:
    """What a model can do, by the content of its `config.json`; nothing for classes of others."""
    return capabilities_of(model_class_of(config))
