# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mu2SLAM on Hugging Face transformers: speech and text in many languages, one encoder-decoder.

`import mu2slam_hf` is all that `pipeline("automatic-speech-recognition", model=...)` and the Auto classes need to know
our checkpoints. It imports neither torch nor transformers: names below are fetched on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mu2slam_hf.registration import register_when_needed

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC_NAMES = {
    "ConformerEncoder": "mu2slam_hf.models.modeling_conformer",
    "ConformerEncoderConfig": "mu2slam_hf.models.configuration_conformer",
    "MSLAMCTCConfig": "mu2slam_hf.models.configuration_mslam",
    "MSLAMConfig": "mu2slam_hf.models.configuration_mslam",
    "MSLAMForAudioClassification": "mu2slam_hf.models.modeling_mslam",
    "MSLAMForCTC": "mu2slam_hf.models.modeling_mslam",
    "MSLAMForPreTraining": "mu2slam_hf.models.modeling_mslam_pretraining",
    "MSLAMForPreTrainingOutput": "mu2slam_hf.models.modeling_mslam_pretraining",
    "MSLAMForSequenceClassification": "mu2slam_hf.models.modeling_mslam",
    "MSLAMModel": "mu2slam_hf.models.modeling_mslam",
    "MSLAMModelOutput": "mu2slam_hf.models.modeling_mslam",
    "MSLAMPreTrainedModel": "mu2slam_hf.models.modeling_mslam",
    "Mu2SLAMCTCConfig": "mu2slam_hf.models.configuration_mu2slam",
    "Mu2SLAMCTCTokenizer": "mu2slam_hf.models.tokenization_mu2slam",
    "Mu2SLAMConfig": "mu2slam_hf.models.configuration_mu2slam",
    "Mu2SLAMDecoderConfig": "mu2slam_hf.models.configuration_mu2slam",
    "Mu2SLAMFeatureExtractor": "mu2slam_hf.models.feature_extraction_mu2slam",
    "Mu2SLAMForCTC": "mu2slam_hf.models.modeling_mu2slam",
    "Mu2SLAMForConditionalGeneration": "mu2slam_hf.models.modeling_mu2slam",
    "Mu2SLAMForPreTraining": "mu2slam_hf.models.modeling_mu2slam_pretraining",
    "Mu2SLAMForPreTrainingOutput": "mu2slam_hf.models.modeling_mu2slam_pretraining",
    "Mu2SLAMModel": "mu2slam_hf.models.modeling_mu2slam",
    "Mu2SLAMPreTrainedModel": "mu2slam_hf.models.modeling_mu2slam",
    "Mu2SLAMProcessor": "mu2slam_hf.models.processing_mu2slam",
    "Mu2SLAMTokenizer": "mu2slam_hf.models.tokenization_mu2slam",
    "SpeechTextEncoder": "mu2slam_hf.evaluation.representations",
    "SpeechTextRecord": "mu2slam_hf.data.records",
    "SpeechTokenizerConfig": "mu2slam_hf.models.configuration_speech_tokenizer",
    "SpeechTokenizerModel": "mu2slam_hf.models.modeling_speech_tokenizer",
    "align": "mu2slam_hf.evaluation.forced_alignment",
    "build_from_speech_encoder": "mu2slam_hf.interop.speech_encoders",
    "build_mslam_from_speech_encoder": "mu2slam_hf.interop.speech_encoders",
    "default_checkpoint": "mu2slam_hf.checkpoints",
    "export_speech_encoder": "mu2slam_hf.interop.speech_encoder_export",
    "load_any_checkpoint": "mu2slam_hf.checkpoints",
    "load_default": "mu2slam_hf.checkpoints",
    "load_speech_encoder": "mu2slam_hf.interop.speech_encoders",
    "predict_languages": "mu2slam_hf.evaluation.language_identification",
    "read_manifest": "mu2slam_hf.data.manifests",
}

# Written out once more, because type checkers read only literals.
__all__ = [
    "ConformerEncoder",
    "ConformerEncoderConfig",
    "MSLAMCTCConfig",
    "MSLAMConfig",
    "MSLAMForAudioClassification",
    "MSLAMForCTC",
    "MSLAMForPreTraining",
    "MSLAMForPreTrainingOutput",
    "MSLAMForSequenceClassification",
    "MSLAMModel",
    "MSLAMModelOutput",
    "MSLAMPreTrainedModel",
    "Mu2SLAMCTCConfig",
    "Mu2SLAMCTCTokenizer",
    "Mu2SLAMConfig",
    "Mu2SLAMDecoderConfig",
    "Mu2SLAMFeatureExtractor",
    "Mu2SLAMForCTC",
    "Mu2SLAMForConditionalGeneration",
    "Mu2SLAMForPreTraining",
    "Mu2SLAMForPreTrainingOutput",
    "Mu2SLAMModel",
    "Mu2SLAMPreTrainedModel",
    "Mu2SLAMProcessor",
    "Mu2SLAMTokenizer",
    "SpeechTextEncoder",
    "SpeechTextRecord",
    "SpeechTokenizerConfig",
    "SpeechTokenizerModel",
    "align",
    "build_from_speech_encoder",
    "build_mslam_from_speech_encoder",
    "default_checkpoint",
    "export_speech_encoder",
    "load_any_checkpoint",
    "load_default",
    "load_speech_encoder",
    "predict_languages",
    "read_manifest",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Fetches a public name from its module on first use."""
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module 'mu2slam_hf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, those not fetched yet included."""
    return sorted({*globals(), *_PUBLIC_NAMES})


if TYPE_CHECKING:
    from mu2slam_hf.checkpoints import default_checkpoint, load_any_checkpoint, load_default
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.data.records import SpeechTextRecord
    from mu2slam_hf.evaluation.forced_alignment import align
    from mu2slam_hf.evaluation.language_identification import predict_languages
    from mu2slam_hf.evaluation.representations import SpeechTextEncoder
    from mu2slam_hf.interop.speech_encoder_export import export_speech_encoder
    from mu2slam_hf.interop.speech_encoders import (
        build_from_speech_encoder,
        build_mslam_from_speech_encoder,
        load_speech_encoder,
    )
    from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
    from mu2slam_hf.models.configuration_mslam import MSLAMConfig, MSLAMCTCConfig
    from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig, Mu2SLAMCTCConfig, Mu2SLAMDecoderConfig
    from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
    from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
    from mu2slam_hf.models.modeling_conformer import ConformerEncoder
    from mu2slam_hf.models.modeling_mslam import (
        MSLAMForAudioClassification,
        MSLAMForCTC,
        MSLAMForSequenceClassification,
        MSLAMModel,
        MSLAMModelOutput,
        MSLAMPreTrainedModel,
    )
    from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining, MSLAMForPreTrainingOutput
    from mu2slam_hf.models.modeling_mu2slam import (
        Mu2SLAMForConditionalGeneration,
        Mu2SLAMForCTC,
        Mu2SLAMModel,
        Mu2SLAMPreTrainedModel,
    )
    from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining, Mu2SLAMForPreTrainingOutput
    from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
    from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
    from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer, Mu2SLAMTokenizer

register_when_needed()
