# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small speech encoders and text models with random weights, and speech LLMs made of them."""

import torch
from imported_encoders import shake
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from mu2slam_hf import MSLAMConfig, MSLAMModel, Mu2SLAMFeatureExtractor, build_speech_llm

KINDS = ("mt5", "llama")
LANGUAGES = ["en", "fr", "ca"]
WIDTH = 24
_TEXTS = [
    "Transcribe the audio in French:",
    "le chat est sur le tapis",
    "the cat sat, 0123456789 <|audio|>",
    "the mat",
]


def make_text_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Pieces with T5's `</s>` at the end, or Llama's `<s>` at the beginning."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    backend.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    alphabet = [chr(code) for code in range(33, 127)]
    trainer = trainers.UnigramTrainer(
        vocab_size=160, special_tokens=special, unk_token="<unk>", initial_alphabet=alphabet
    )
    backend.train_from_iterator(_TEXTS, trainer)
    template = "$A </s>" if kind == "mt5" else "<s> $A"
    pairs = [("</s>", 1), ("<s>", 3)]
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=pairs)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    names |= {"bos_token": "<s>"} if kind == "llama" else {}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def make_text_model(kind: str, vocab_size: int = 180):
    torch.manual_seed(0)
    if kind == "mt5":
        config = MT5Config(
            vocab_size=vocab_size, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=3, decoder_start_token_id=0
        )
        model = shake(MT5ForConditionalGeneration(config))
        # As in published weights, whose output layer is separate.
        model.lm_head.weight = torch.nn.Parameter(torch.randn(vocab_size, WIDTH))
        model.config.tie_word_embeddings = False
        return model
    config = LlamaConfig(
        vocab_size=vocab_size, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=3
    )
    config.pad_token_id, config.bos_token_id, config.eos_token_id = 0, 3, 1
    return shake(LlamaForCausalLM(config))


def make_speech_model(kind: str = "mslam"):
    """A speech model and its feature extractor."""
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    if kind == "mslam":
        encoder = {**sizes, "subsampling_conv_channels": [4, 4], "conv_norm_groups": 2}
        config = MSLAMConfig(encoder_config=encoder, num_speech_layers=1, vocab_size=1200, add_speech_projection=False)
        return shake(MSLAMModel(config)), Mu2SLAMFeatureExtractor()
    if kind == "w2v_bert":
        model = Wav2Vec2BertModel(Wav2Vec2BertConfig(**sizes, feature_projection_input_dim=160))
        return shake(model), None
    if kind == "wav2vec2":
        convolutions = {"conv_dim": (8, 8), "conv_kernel": (10, 32), "conv_stride": (5, 64)}
        config = Wav2Vec2Config(**sizes, **convolutions, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
        return shake(Wav2Vec2Model(config)), Wav2Vec2FeatureExtractor(return_attention_mask=True)
    sizes = {"encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_attention_heads": 2}
    config = WhisperConfig(d_model=16, decoder_layers=1, decoder_ffn_dim=24, num_mel_bins=80, **sizes)
    return shake(WhisperModel(config)), WhisperFeatureExtractor()


def make_speech_llm(kind: str = "mt5", speech: str = "mslam", **options):
    """Model and processor."""
    model, extractor = make_speech_model(speech)
    return build_speech_llm(
        model,
        make_text_model(kind),
        languages=LANGUAGES,
        feature_extractor=extractor,
        tokenizer=make_text_tokenizer(kind),
        **options,
    )


def save_base(folder, kind: str = "mt5", speech: str = "mslam", languages=("en", "es", "fr", "it", "ru")) -> str:
    """A model and its processor in a folder, as `mu2slam init` writes them."""
    model, extractor = make_speech_model(speech)
    shared = {"feature_extractor": extractor, "tokenizer": make_text_tokenizer(kind)}
    model, processor = build_speech_llm(model, make_text_model(kind), languages=languages, **shared)
    model.generation_config.max_new_tokens = 12
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
