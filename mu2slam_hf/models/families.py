# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model families and their registration with transformers' Auto classes."""

from dataclasses import dataclass

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForCTC,
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
    AutoProcessor,
    AutoTokenizer,
)

from .configuration_conformer import ConformerEncoderConfig
from .configuration_mslam import MSLAMConfig, MSLAMCTCConfig
from .configuration_mu2slam import Mu2SLAMConfig, Mu2SLAMCTCConfig, Mu2SLAMDecoderConfig
from .configuration_speech_tokenizer import SpeechTokenizerConfig
from .feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from .modeling_conformer import ConformerEncoder
from .modeling_mslam import MSLAMForAudioClassification, MSLAMForCTC, MSLAMForSequenceClassification, MSLAMModel
from .modeling_mslam_pretraining import MSLAMForPreTraining
from .modeling_mu2slam import (
    Mu2SLAMDecoder,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
    Mu2SLAMModel,
)
from .modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from .modeling_speech_tokenizer import SpeechTokenizerModel
from .pipeline_mu2slam import register_pipeline
from .processing_mu2slam import Mu2SLAMProcessor
from .tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer


@dataclass(frozen=True)
class Family:
    """What one `model_type` brings along.

    Args:
        config: configuration class.
        models: Auto class name -> model class.
        feature_extractor: feature extractor class, or None.
        tokenizer: tokenizer class, or None.
        processor: processor class, or None.
    """

    config: type
    models: dict[str, type]
    feature_extractor: type | None = None
    tokenizer: type | None = None
    processor: type | None = None


FAMILIES: dict[str, Family] = {
    "mu2slam": Family(
        config=Mu2SLAMConfig,
        models={
            "AutoModel": Mu2SLAMModel,
            "AutoModelForSpeechSeq2Seq": Mu2SLAMForConditionalGeneration,
            "AutoModelForSeq2SeqLM": Mu2SLAMForConditionalGeneration,
            "AutoModelForPreTraining": Mu2SLAMForPreTraining,
        },
        feature_extractor=Mu2SLAMFeatureExtractor,
        tokenizer=Mu2SLAMTokenizer,
        processor=Mu2SLAMProcessor,
    ),
    "mu2slam_ctc": Family(
        config=Mu2SLAMCTCConfig,
        models={"AutoModel": Mu2SLAMForCTC, "AutoModelForCTC": Mu2SLAMForCTC},
        feature_extractor=Mu2SLAMFeatureExtractor,
        tokenizer=Mu2SLAMCTCTokenizer,
        processor=Mu2SLAMProcessor,
    ),
    "mslam": Family(
        config=MSLAMConfig,
        models={
            "AutoModel": MSLAMModel,
            "AutoModelForPreTraining": MSLAMForPreTraining,
            "AutoModelForSequenceClassification": MSLAMForSequenceClassification,
            "AutoModelForAudioClassification": MSLAMForAudioClassification,
        },
        feature_extractor=Mu2SLAMFeatureExtractor,
        tokenizer=Mu2SLAMTokenizer,
        processor=Mu2SLAMProcessor,
    ),
    "mslam_ctc": Family(
        config=MSLAMCTCConfig,
        models={"AutoModel": MSLAMForCTC, "AutoModelForCTC": MSLAMForCTC},
        feature_extractor=Mu2SLAMFeatureExtractor,
        tokenizer=Mu2SLAMCTCTokenizer,
        processor=Mu2SLAMProcessor,
    ),
    "mu2slam_decoder": Family(config=Mu2SLAMDecoderConfig, models={"AutoModel": Mu2SLAMDecoder}),
    "mu2slam_conformer": Family(config=ConformerEncoderConfig, models={"AutoModel": ConformerEncoder}),
    "mu2slam_speech_tokenizer": Family(config=SpeechTokenizerConfig, models={"AutoModel": SpeechTokenizerModel}),
}

_AUTO_MODELS = {
    "AutoModel": AutoModel,
    "AutoModelForAudioClassification": AutoModelForAudioClassification,
    "AutoModelForCTC": AutoModelForCTC,
    "AutoModelForPreTraining": AutoModelForPreTraining,
    "AutoModelForSeq2SeqLM": AutoModelForSeq2SeqLM,
    "AutoModelForSequenceClassification": AutoModelForSequenceClassification,
    "AutoModelForSpeechSeq2Seq": AutoModelForSpeechSeq2Seq,
}


def register_families() -> None:
    """Tell the Auto classes and the ASR pipeline about every family; safe to call again."""
    for model_type, family in FAMILIES.items():
        AutoConfig.register(model_type, family.config, exist_ok=True)
        for auto_name, model_class in family.models.items():
            _AUTO_MODELS[auto_name].register(family.config, model_class, exist_ok=True)
        if family.feature_extractor is not None:
            AutoFeatureExtractor.register(family.config, family.feature_extractor, exist_ok=True)
        if family.tokenizer is not None:
            AutoTokenizer.register(family.config, tokenizer_class=family.tokenizer, exist_ok=True)
        if family.processor is not None:
            AutoProcessor.register(family.config, family.processor, exist_ok=True)
    register_pipeline()
