# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small text models of transformers with random weights, and tokenizers in their public formats."""

import json

from imported_encoders import shake
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    NllbTokenizer,
)

TEXTS = [
    "the cat sat on the mat and the dog sat on the cat",
    "le chat est sur le tapis, et le chien est sur le chat",
    "we say hello < and > goodbye / to everyone_here 0123456789",
]
FORMATS = ("m2m_100", "mbart")


def train_pieces(kind: str) -> dict:
    """The model of a small backend with SentencePiece's word boundary, as in `tokenizer.json`."""
    backend = Tokenizer(models.BPE(unk_token="<unk>") if kind == "bpe" else models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    if kind == "bpe":
        trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    else:
        trainer = trainers.UnigramTrainer(vocab_size=100, special_tokens=["<unk>"], unk_token="<unk>")
    backend.train_from_iterator(TEXTS, trainer)
    return json.loads(backend.to_str())["model"]


def make_tokenizer(kind: str):
    if kind == "m2m_100":
        model = train_pieces("bpe")
        return NllbTokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])
    pieces = sorted(train_pieces("unigram")["vocab"][1:], key=lambda piece: (-piece[1], piece[0]))
    vocab = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *map(tuple, pieces)]
    return MBart50Tokenizer(vocab=vocab)


def make_text_model(kind: str, vocab_size: int, width: int = 32, tie: bool = True, layers: int = 3, **options):
    sizes = {
        "vocab_size": vocab_size,
        "d_model": width,
        "encoder_layers": 1,
        "decoder_layers": layers,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 40,
        "max_position_embeddings": 40,
        "tie_word_embeddings": tie,
        "decoder_start_token_id": 2,
    }
    if kind == "m2m_100":
        return shake(M2M100ForConditionalGeneration(M2M100Config(**sizes, **options)))
    model = shake(MBartForConditionalGeneration(MBartConfig(**sizes, **options)))
    model.final_logits_bias.normal_()
    return model
