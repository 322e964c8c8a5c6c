# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tiny language models of several types, dual encoders made of them, and their processors."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from mu2slam_hf import (
    Mu2SLAMFeatureExtractor,
    SpeechTextDualEncoderModel,
    SpeechTextDualEncoderProcessor,
    SpeechTokenizerConfig,
    SpeechTokenizerModel,
)

TEXTS = ["where is the station", "dónde está la estación", "[English Speech] <speech_5> 1 2 3", "good morning"]
NUM_ROWS = 320
NUM_AUDIO = 16
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": NUM_ROWS}
LANGUAGE_MODELS = {
    "llama": {**_SIZES, "intermediate_size": 48, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": NUM_ROWS, "n_positions": 512},
    "qwen3": {**_SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8},
    "gemma3_text": {**_SIZES, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8},
}


def build_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    specials = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    # Many language models pad on the left; the processor must not.
    return PreTrainedTokenizerFast(tokenizer_object=backend, padding_side="left", **specials)


def save_language_model(folder: Path, model_type: str = "llama", seed: int = 0) -> Path:
    """A language model with more rows than its tokenizer has ids, as many public ones."""
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(model_type, **LANGUAGE_MODELS[model_type], **ids)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def build_processor(**options) -> SpeechTextDualEncoderProcessor:
    torch.manual_seed(1)
    speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=NUM_AUDIO))
    return SpeechTextDualEncoderProcessor(
        Mu2SLAMFeatureExtractor(), build_tokenizer(), speech_tokenizer, audio_token_offset=NUM_ROWS, **options
    )


def build_dual_encoder(folder: Path, model_type: str = "llama", **options) -> SpeechTextDualEncoderModel:
    name = save_language_model(folder / f"lm_{model_type}", model_type)
    torch.manual_seed(2)
    return SpeechTextDualEncoderModel.from_language_model(str(name), num_audio_tokens=NUM_AUDIO, **options).eval()
