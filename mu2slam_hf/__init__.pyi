# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The public names. `__init__.py` reads this list, and imports each name from its module on first use."""

from mu2slam_hf.checkpoints import default_checkpoint as default_checkpoint
from mu2slam_hf.checkpoints import load_any_checkpoint as load_any_checkpoint
from mu2slam_hf.checkpoints import load_default as load_default
from mu2slam_hf.data.manifests import read_manifest as read_manifest
from mu2slam_hf.data.records import SpeechTextRecord as SpeechTextRecord
from mu2slam_hf.growth.languages import add_language as add_language
from mu2slam_hf.hub.bundle import add_custom_code as add_custom_code
from mu2slam_hf.inference.alignment import align as align
from mu2slam_hf.inference.formats.plots import plot_recording as plot_recording
from mu2slam_hf.inference.language_identification import predict_languages as predict_languages
from mu2slam_hf.inference.representations import SpeechTextEncoder as SpeechTextEncoder
from mu2slam_hf.inference.transcription import TranscriptionOptions as TranscriptionOptions
from mu2slam_hf.inference.transcription import transcribe_recordings as transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript as Transcript
from mu2slam_hf.inference.transcripts import TranscriptSegment as TranscriptSegment
from mu2slam_hf.inference.translation import translate as translate
from mu2slam_hf.interop.public_weights import build_from_speech_and_text as build_from_speech_and_text
from mu2slam_hf.interop.speech_encoder_export import export_speech_encoder as export_speech_encoder
from mu2slam_hf.interop.speech_encoders import build_from_speech_encoder as build_from_speech_encoder
from mu2slam_hf.interop.speech_encoders import build_mslam_from_speech_encoder as build_mslam_from_speech_encoder
from mu2slam_hf.interop.speech_encoders import load_speech_encoder as load_speech_encoder
from mu2slam_hf.interop.speech_llm import build_speech_llm as build_speech_llm
from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig as ConformerEncoderConfig
from mu2slam_hf.models.configuration_mslam import MSLAMConfig as MSLAMConfig
from mu2slam_hf.models.configuration_mslam import MSLAMCTCConfig as MSLAMCTCConfig
from mu2slam_hf.models.configuration_mslam import MSLAMRNNTConfig as MSLAMRNNTConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMConfig as Mu2SLAMConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMCTCConfig as Mu2SLAMCTCConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMDecoderConfig as Mu2SLAMDecoderConfig
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMRNNTConfig as Mu2SLAMRNNTConfig
from mu2slam_hf.models.configuration_speech_llm import SpeechLLMConfig as SpeechLLMConfig
from mu2slam_hf.models.configuration_speech_text_dual_encoder import (
    SpeechTextDualEncoderConfig as SpeechTextDualEncoderConfig,
)
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig as SpeechTokenizerConfig
from mu2slam_hf.models.configuration_transducer import TransducerConfig as TransducerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor as Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_conformer import ConformerEncoder as ConformerEncoder
from mu2slam_hf.models.modeling_mslam import MSLAMForAudioClassification as MSLAMForAudioClassification
from mu2slam_hf.models.modeling_mslam import MSLAMForCTC as MSLAMForCTC
from mu2slam_hf.models.modeling_mslam import MSLAMForQuestionAnswering as MSLAMForQuestionAnswering
from mu2slam_hf.models.modeling_mslam import MSLAMForSequenceClassification as MSLAMForSequenceClassification
from mu2slam_hf.models.modeling_mslam import MSLAMModel as MSLAMModel
from mu2slam_hf.models.modeling_mslam import MSLAMModelOutput as MSLAMModelOutput
from mu2slam_hf.models.modeling_mslam import MSLAMPreTrainedModel as MSLAMPreTrainedModel
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining as MSLAMForPreTraining
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTrainingOutput as MSLAMForPreTrainingOutput
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration as Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForCTC as Mu2SLAMForCTC
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMModel as Mu2SLAMModel
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMPreTrainedModel as Mu2SLAMPreTrainedModel
from mu2slam_hf.models.modeling_mu2slam_classification import (
    Mu2SLAMForAudioClassification as Mu2SLAMForAudioClassification,
)
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining as Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTrainingOutput as Mu2SLAMForPreTrainingOutput
from mu2slam_hf.models.modeling_mu2slam_understanding import (
    Mu2SLAMForQuestionAnswering as Mu2SLAMForQuestionAnswering,
)
from mu2slam_hf.models.modeling_mu2slam_understanding import (
    Mu2SLAMForSequenceClassification as Mu2SLAMForSequenceClassification,
)
from mu2slam_hf.models.modeling_speech_llm import (
    SpeechLLMForConditionalGeneration as SpeechLLMForConditionalGeneration,
)
from mu2slam_hf.models.modeling_speech_text_dual_encoder import (
    SpeechTextDualEncoderModel as SpeechTextDualEncoderModel,
)
from mu2slam_hf.models.modeling_speech_text_dual_encoder import (
    SpeechTextDualEncoderOutput as SpeechTextDualEncoderOutput,
)
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel as SpeechTokenizerModel
from mu2slam_hf.models.modeling_transducer import MSLAMForRNNT as MSLAMForRNNT
from mu2slam_hf.models.modeling_transducer import Mu2SLAMForRNNT as Mu2SLAMForRNNT
from mu2slam_hf.models.modeling_transducer import TransducerGenerateOutput as TransducerGenerateOutput
from mu2slam_hf.models.modeling_transducer import TransducerOutput as TransducerOutput
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor as Mu2SLAMProcessor
from mu2slam_hf.models.processing_speech_llm import SpeechLLMProcessor as SpeechLLMProcessor
from mu2slam_hf.models.processing_speech_text_dual_encoder import (
    SpeechTextDualEncoderProcessor as SpeechTextDualEncoderProcessor,
)
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer as Mu2SLAMCTCTokenizer
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer as Mu2SLAMTokenizer
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTransducerTokenizer as Mu2SLAMTransducerTokenizer
from mu2slam_hf.search.clips import SearchHit as SearchHit
from mu2slam_hf.search.speech_index import SpeechIndex as SpeechIndex

__version__: str
