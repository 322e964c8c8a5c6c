# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Registration of the model types with the Auto classes and the pipelines of transformers."""

from typing import Any

import transformers
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC, AutoProcessor, AutoTokenizer

from mu2slam_hf.checkpoints.model_types import MODEL_TYPES, EncoderDecoderIsNoCTCModel, declared_capabilities
from mu2slam_hf.inference.pipelines.audio_classification import Mu2SLAMAudioClassificationPipeline
from mu2slam_hf.inference.pipelines.base import register_for_task, register_new_task
from mu2slam_hf.inference.pipelines.feature_extraction import Mu2SLAMFeatureExtractionPipeline
from mu2slam_hf.inference.pipelines.question_answering import Mu2SLAMQuestionAnsweringPipeline
from mu2slam_hf.inference.pipelines.speech_output import Mu2SLAMTextToAudioPipeline
from mu2slam_hf.inference.pipelines.speech_recognition import Mu2SLAMSpeechRecognitionPipeline
from mu2slam_hf.inference.pipelines.translation import Mu2SLAMTranslationPipeline
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration


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
        generates = declared_capabilities({"architectures": config.architectures}).generates
        auto_name = "AutoModelForSeq2SeqLM" if generates else "AutoModelForQuestionAnswering"
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
    transformers.AutoModelForTextToWaveform.register(Mu2SLAMConfig, Mu2SLAMForConditionalGeneration, exist_ok=True)
    register_for_task("text-to-audio", Mu2SLAMTextToAudioPipeline)
    register_new_task("translation", Mu2SLAMTranslationPipeline, transformers.AutoModelForSeq2SeqLM)
    register_new_task(
        "question-answering",
        Mu2SLAMQuestionAnsweringPipeline,
        ModelForAnswers,
    )
