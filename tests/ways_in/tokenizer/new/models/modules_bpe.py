# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Byte-pair pieces behind the special tokens and speech ids."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from .modules_vocabulary import UNK_TOKEN, finish_backend, list_special_tokens


def build_bpe_tokenizer(texts: Iterable[str], vocab_size: int, num_speech_tokens: int) -> Tokenizer:
    """Train byte-pair encoding; arguments as of `build_character_tokenizer`."""
    specials = list_special_tokens(num_speech_tokens)
    backend = Tokenizer(models.BPE(unk_token=UNK_TOKEN))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=len(specials) + vocab_size, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(texts, trainer=trainer)
    return finish_backend(backend, num_speech_tokens)
