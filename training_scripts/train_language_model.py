# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Train a small language model on parallel text, from which `train_dual_encoder.py` starts.

    python training_scripts/train_language_model.py --corpus parallel_text=FOLDER --languages en it ru --output lm

A document is one or two versions of a sentence behind their prefixes; printed is the perplexity per character.
"""

import argparse
import math
import random
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES

SPECIALS, BLOCK = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}, 128


def read_sentences(corpus: str, split: str, languages: list[str]) -> list[dict[str, str]]:
    """Language -> text behind its prefix, of each sentence that has one of the languages."""
    rows = {r.id: {r.lang: r.text or "", **r.translations} for r in load_corpus(*corpus.split("=", 1), split)}
    named = {lang: f"[{LANGUAGE_NAMES[lang]} Text] " for lang in languages}
    return [own for row in rows.values() if (own := {lang: named[lang] + row[lang] for lang in named if lang in row})]


def make_document(by_language: dict[str, list[dict[str, str]]], lang: str) -> str:
    """A sentence in a language, half of the time with another version of it."""
    row = random.choice(by_language[lang])
    others = random.sample(sorted({*row} - {lang}), min(len(row) - 1, random.getrandbits(1)))
    return "\n".join(row[code] for code in random.sample([lang, *others], 1 + len(others)))


def train_tokenizer(documents: list[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A BPE tokenizer over bytes."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    kept = {"special_tokens": list(SPECIALS.values()), "initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    backend.train_from_iterator(documents, trainers.BpeTrainer(vocab_size=vocab_size, **kept))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIALS)


def main() -> None:
    """Train tokenizer and model, save both, and print perplexities."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("corpus", "languages", "output"):
        parser.add_argument(f"--{name}", required=True, nargs="+" if name == "languages" else None)
    for name, size in (("steps", 2000), ("batch-size", 64), ("layers", 4), ("width", 192), ("vocab-size", 4000)):
        parser.add_argument(f"--{name}", type=int, default=size, metavar="N", help=f"({size})")
    options = parser.parse_args()
    set_seed(0)
    sentences, languages = read_sentences(options.corpus, "train", options.languages), options.languages
    by_language = {lang: [row for row in sentences if lang in row] for lang in languages}
    drawn = [make_document(by_language, lang) for _ in range(options.steps) for lang in languages * 16]
    tokenizer = train_tokenizer(drawn[:50_000], options.vocab_size)
    sizes = {"hidden_size": options.width, "intermediate_size": options.width * 8 // 3, "vocab_size": len(tokenizer)}
    sizes |= {"num_hidden_layers": options.layers, "num_attention_heads": 4, "pad_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    stream = [i for row in tokenizer(drawn, add_special_tokens=False)["input_ids"] for i in (1, *row, 2)]
    rows = [stream[i : i + BLOCK] for i in range(0, len(stream) - BLOCK + 1, BLOCK)]
    examples = [{"input_ids": row, "labels": row} for row in rows]
    arguments = {"learning_rate": 2e-3, "lr_scheduler_type": "cosine", "warmup_steps": 100, "save_strategy": "no"}
    arguments |= {"per_device_train_batch_size": options.batch_size, "report_to": "none", "max_steps": options.steps}
    Trainer(model, TrainingArguments(options.output, **arguments), train_dataset=examples).train()
    for part in (model.eval(), tokenizer):
        part.save_pretrained(options.output)
    for lang in languages:
        texts = [row[lang] for row in read_sentences(options.corpus, "dev", [lang])[:500]]
        inputs = [torch.tensor([[1, *ids, 2]]) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]
        total = sum(model(ids.to(model.device), labels=ids).loss.item() * len(ids[0]) for ids in inputs)
        print(f"{lang}: perplexity {math.exp(total / sum(map(len, texts))):.3f} per character")


if __name__ == "__main__":
    sys.exit(run_and_report(main, "train_language_model.py"))
