# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A speech encoder and a text model in one model, both with the weights that they have."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
)

from mu2slam_hf.interop.speech_encoder_formats import FORMATS
from mu2slam_hf.interop.speech_encoders import find_own_encoder, load_speech_encoder
from mu2slam_hf.interop.speech_extractors import build_feature_extractor, load_feature_extractor
from mu2slam_hf.models.configuration_speech_llm import WAVEFORM_ENCODERS, SpeechLLMConfig
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language
from mu2slam_hf.models.modeling_speech_encoders import ConformerFeatures
from mu2slam_hf.models.modeling_speech_llm import AudioAdapter, PublicEncoder, SpeechLLMForConditionalGeneration
from mu2slam_hf.models.processing_speech_llm import SpeechLLMProcessor
from mu2slam_hf.models.task_types import SPEECH

_OWN_TYPES = ("mu2slam", "mu2slam_ctc", "mslam", "mslam_ctc")
_PUBLIC_TYPES = (*FORMATS, *WAVEFORM_ENCODERS, "whisper")


def build_speech_llm(
    speech: str | PreTrainedModel,
    language_model: str | PreTrainedModel,
    *,
    languages: Sequence[str] = (),
    feature_extractor: Any = None,
    tokenizer: Any = None,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> tuple[SpeechLLMForConditionalGeneration, SpeechLLMProcessor]:
    """Build a model from a speech encoder and a text model; only the audio adapter between them is new.

    Args:
        speech: folder, name on the Hub or loaded model: a Mu2SLAM or mSLAM model of this package, w2v-BERT 2.0,
            Wav2Vec2-Conformer, wav2vec 2.0, HuBERT, WavLM, data2vec, UniSpeech or Whisper.
        language_model: folder, name or loaded model: any encoder-decoder or causal text model of transformers.
        languages: languages that prompts may name.
        feature_extractor: of the speech encoder; by default the one saved with it. Required for a loaded model whose
            type has no default.
        tokenizer: of the text model; by default the one saved with it. Required for a loaded model.
        dtype: of the text model. T5's format overflows in float16.
        **options: further keys of [`SpeechLLMConfig`] (`adapter_stride`, ...).

    Returns:
        the model in evaluation mode, and its processor.

    Raises:
        ValueError: a speech model of another type, an incomplete checkpoint, an mSLAM with a projection between its
            stacks, or a text model that is of neither kind or has no tokenizer or no id of padding.
    """
    encoder, encoder_config, extractor = _load_encoder(speech, feature_extractor)
    text_model, tokenizer = _load_text_model(language_model, tokenizer, dtype)
    codes = [canonical_language(code) for code in languages]
    config = SpeechLLMConfig(
        encoder_config=encoder_config.to_dict(),
        text_config=text_model.config.to_dict(),
        audio_token_id=max(len(tokenizer), text_model.config.get_text_config().vocab_size),
        languages=[UNDETERMINED, *(code for code in codes if code != UNDETERMINED)],
        encoder_name_or_path=_name_of(speech),
        language_model_name_or_path=_name_of(language_model),
        **options,
    )
    with torch.device("meta"):
        model = SpeechLLMForConditionalGeneration(config)
    model.encoder = encoder.requires_grad_(False)
    # As it was loaded: built from its configuration, mT5 would tie an output layer that is separate in its weights.
    model.language_model = text_model.requires_grad_(False)
    model.audio_adapter = AudioAdapter(config)
    for module in model.audio_adapter.modules():
        model._init_weights(module)
    model.generation_config = GenerationConfig.from_dict(text_model.generation_config.to_dict())
    model.generation_config._from_model_config = False
    # What the model reads at once; transcription cuts longer recordings.
    model.generation_config.chunk_length_s = 30.0
    if model.generation_config.max_new_tokens is None:
        # The default of transformers, 20 tokens, would cut most transcripts off.
        model.generation_config.max_new_tokens = 256
    processor = SpeechLLMProcessor(
        extractor,
        tokenizer,
        languages=config.languages,
        audio_token_id=config.audio_token_id,
        audio_lengths=config.audio_lengths,
        is_encoder_decoder=config.is_encoder_decoder,
        chat_template=tokenizer.chat_template,
    )
    return model.eval(), processor


def _load_encoder(speech: str | PreTrainedModel, extractor: Any) -> tuple[nn.Module, Any, Any]:
    """Encoder, its configuration and its feature extractor."""
    is_model = isinstance(speech, PreTrainedModel)
    source = type(speech).__name__ if is_model else str(speech)
    model: Any = speech
    config: Any = model.config if is_model else AutoConfig.from_pretrained(source)
    if config.model_type not in (*_OWN_TYPES, *_PUBLIC_TYPES):
        known = ", ".join((*_OWN_TYPES, *_PUBLIC_TYPES))
        raise ValueError(f"{source}: expected a speech model of type {known}; got {config.model_type!r}.")
    if extractor is None:
        extractor = build_feature_extractor(config) if is_model else load_feature_extractor(source, config)
    if extractor is None:
        raise ValueError("speech is a loaded model: pass its feature extractor as feature_extractor=.")
    if config.model_type in _OWN_TYPES:
        encoder = _take_own(model if is_model else AutoModel.from_pretrained(source, dtype=torch.float32), source)
        return encoder, encoder.config, extractor
    if config.model_type in FORMATS:
        weights = load_speech_encoder(speech)
        conformer = ConformerFeatures(weights.config, weights.config.num_hidden_layers)
        conformer.load_state_dict({**weights.state_dict, "speech_embedding": torch.zeros(weights.config.hidden_size)})
        return conformer, weights.config, extractor
    public: Any = model if is_model else AutoModel.from_pretrained(source, dtype=torch.float32)
    public = public.base_model
    public_encoder = PublicEncoder(public.config)
    public_encoder.model = public.get_encoder() if public_encoder.is_whisper else public
    return public_encoder, public.config, extractor


def _take_own(model: Any, source: str) -> ConformerFeatures:
    """Front end and layers of a model of this package, for speech of unknown language."""
    encoder: Any = find_own_encoder(model)
    if getattr(encoder.config, "add_speech_projection", False):
        raise ValueError(
            f"{source}: this mSLAM has a linear projection between its stacks (add_speech_projection), which the "
            "encoder here does not have; train one with add_speech_projection: false."
        )
    config = encoder.config.encoder_config
    conformer = ConformerFeatures(config, config.num_hidden_layers)
    constant = torch.zeros(1, 1, config.hidden_size)
    if hasattr(encoder, "embed_languages"):
        constant = encoder.add_identities(constant, None, torch.tensor([[SPEECH]])).detach()
    conformer.subsampling.load_state_dict(encoder.subsampling.state_dict())
    conformer.conformer.load_state_dict(encoder.conformer.state_dict())
    conformer.speech_embedding.data = constant[0, 0].clone()
    return conformer


def _load_text_model(source: str | PreTrainedModel, tokenizer: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """Text model and tokenizer."""
    model: Any = source
    if isinstance(source, PreTrainedModel):
        if tokenizer is None:
            raise ValueError("language_model is a loaded model: pass its tokenizer as tokenizer=.")
    else:
        config = AutoConfig.from_pretrained(source)
        auto_class: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        try:
            model = auto_class.from_pretrained(source, dtype=dtype)
        except ValueError as error:
            raise ValueError(
                f"{source}: expected an encoder-decoder or causal text model, got {config.model_type!r}: {error}"
            ) from error
        tokenizer = tokenizer or AutoTokenizer.from_pretrained(source)
    if not model.can_generate():
        raise ValueError(f"{type(model).__name__}: expected a text model that generates, with its output layer.")
    text_config = model.config.get_text_config()
    if tokenizer.pad_token_id is None:
        # Causal models are often published without one; its positions are masked, so its meaning does not matter.
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"{_name_of(source)}: the tokenizer has neither an id of padding nor of the end of a text."
            )
        tokenizer.pad_token = tokenizer.eos_token
    if text_config.pad_token_id is None:
        text_config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _name_of(model: str | PreTrainedModel) -> str | None:
    return (model.name_or_path or None) if isinstance(model, PreTrainedModel) else str(model)


__all__ = ["build_speech_llm"]
