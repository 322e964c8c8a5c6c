# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small multilingual text models, trained on parallel texts, for studies of speech in front of a text model.

They learn what speech will ask of them: to repeat a text in its language and to translate it, as a prompt after it
says, and to translate a text that follows the prompt. A text model that cannot do this makes every figure of speech
meaningless.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from lab.synthesis.content import CONTENT_KINDS
from lab.synthesis.generator import SyntheticSpeech
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.processing_speech_llm import SpeechLLMProcessor
from mu2slam_hf.models.task_prompts import TEST_PROMPTS, TRAINING_PROMPTS, fill_prompt

FORMATS = ("t5", "llama")
DAMAGE_RATIO = 0.08
"""Share of the characters of a source text that are damaged in the second half of the updates: what an imperfect
recognizer leaves to the text model."""


@dataclass(frozen=True, kw_only=True)
class TextModelSettings:
    """Size and training of a text model.

    Attributes:
        format: t5, an encoder-decoder whose shared table is scaled at the output, or llama, a decoder.
        hidden_size: width.
        num_layers: number of layers (of each stack).
        vocab_size: number of pieces.
        max_steps: number of updates; the first half reads undamaged texts.
        batch_size: number of texts in an update.
        learning_rate: peak of the learning rate.
        seed: seed of weights, order and prompts.
    """

    format: str = "t5"
    hidden_size: int = 192
    num_layers: int = 4
    vocab_size: int = 1500
    max_steps: int = 4000
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TextExample:
    """A text to repeat (asr) or to translate after (ast) or before (mt) its prompt."""

    task: str
    source_lang: str
    target_lang: str
    text: str
    target: str


def build_examples(records: Iterable[SpeechTextRecord]) -> Iterator[TextExample]:
    """All examples of records with texts; their audio is not read."""
    for record in records:
        if not record.text:
            continue
        shared: dict[str, Any] = {"source_lang": record.lang, "text": record.text}
        yield TextExample(task="asr", target_lang=record.lang, target=record.text, **shared)
        for lang, text in record.translations.items():
            for task in ("ast", "mt"):
                yield TextExample(task=task, target_lang=lang, target=text, **shared)


def generate_texts(
    languages: Sequence[str], num_meanings: int, *, kinds: Sequence[str] | None = None, seed: int = 0
) -> Iterator[SpeechTextRecord]:
    """Sentences of the training split in spoken form, in all languages, each with its translations into all others.

    Args:
        languages: language codes.
        num_meanings: number of sentences in each language.
        kinds: kinds of contents; None for all.
        seed: seed of the meanings.
    """
    speech = SyntheticSpeech(
        seed=seed, languages=languages, num_meanings=num_meanings, form="spoken", kinds=kinds or CONTENT_KINDS
    )
    for number in range(num_meanings):
        _, texts = speech.express(number)
        for lang, text in texts.items():
            others = {other: translation for other, translation in texts.items() if other != lang}
            yield SpeechTextRecord(id=str(number), corpus="texts", lang=lang, text=text, translations=others)


def train_text_model(
    records: Iterable[SpeechTextRecord], folder: str | Path, settings: TextModelSettings | None = None
) -> Any:
    """Train a text model and write it with its tokenizer.

    Args:
        records: texts with translations.
        folder: folder of the model.
        settings: size and training.

    Returns:
        the model.

    Raises:
        ValueError: no record has a text, or the format is unknown.
    """
    settings = settings or TextModelSettings()
    if settings.format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {settings.format!r}")
    examples = list(build_examples(records))
    if not examples:
        raise ValueError("no record has a text")
    set_seed(settings.seed)
    tokenizer = _train_tokenizer(examples, settings)
    processor = SpeechLLMProcessor(
        Mu2SLAMFeatureExtractor(), tokenizer, is_encoder_decoder=settings.format == "t5", audio_token_id=len(tokenizer)
    )
    model = _build_model(settings, len(tokenizer))
    half = settings.max_steps // 2
    for ratio, steps in ((0.0, settings.max_steps - half), (DAMAGE_RATIO, half)):
        arguments = TrainingArguments(
            output_dir=str(folder),
            max_steps=max(1, steps),
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=steps // 10,
            logging_steps=100,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            seed=settings.seed,
        )
        collate = partial(_collate, processor=processor, ratio=ratio, generator=random.Random(settings.seed))
        Trainer(model, arguments, data_collator=collate, train_dataset=examples).train()
    model.generation_config.max_new_tokens = 64
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def damage_text(text: str, ratio: float, generator: random.Random) -> str:
    """A text with a share of its characters left out or doubled."""
    return "".join(char if generator.random() >= ratio else generator.choice(("", 2 * char)) for char in text)


def _collate(
    examples: Sequence[TextExample], processor: SpeechLLMProcessor, ratio: float, generator: random.Random
) -> dict[str, Any]:
    rows = []
    for example in examples:
        templates = (*TRAINING_PROMPTS[example.task], TEST_PROMPTS[example.task])
        prompt = fill_prompt(generator.choice(templates), example.task, example.source_lang, example.target_lang)
        text = damage_text(example.text, ratio, generator)
        rows.append(processor.build_ids(f"{prompt} {text}" if example.task == "mt" else f"{text} {prompt}"))
    return processor.pad_rows(rows, [example.target for example in examples])


def _train_tokenizer(examples: Sequence[TextExample], settings: TextModelSettings) -> PreTrainedTokenizerFast:
    """Unigram pieces, with T5's `</s>` after a text or Llama's `<s>` before it."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    trainer = trainers.UnigramTrainer(vocab_size=settings.vocab_size, special_tokens=special, unk_token="<unk>")
    directions = sorted({(example.task, example.source_lang, example.target_lang) for example in examples})
    prompts = [
        fill_prompt(template, task, source, target)
        for task, source, target in directions
        for template in (*TRAINING_PROMPTS[task], TEST_PROMPTS[task])
    ]
    backend.train_from_iterator([*(example.target for example in examples), *prompts], trainer)
    template = "$A </s>" if settings.format == "t5" else "<s> $A"
    ids = [(token, special.index(token)) for token in ("</s>", "<s>")]
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    names |= {} if settings.format == "t5" else {"bos_token": "<s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _build_model(settings: TextModelSettings, vocab_size: int) -> Any:
    width = settings.hidden_size
    shared = {"vocab_size": vocab_size, "pad_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": True}
    if settings.format == "t5":
        sizes = {"d_model": width, "d_ff": 4 * width, "d_kv": width // 4, "num_heads": 4}
        layers = {"num_layers": settings.num_layers, "decoder_start_token_id": 0}
        return AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model("t5", **shared, **sizes, **layers))
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_attention_heads": 4, "bos_token_id": 3}
    config = AutoConfig.for_model("llama", **shared, **sizes, num_hidden_layers=settings.num_layers)
    return AutoModelForCausalLM.from_config(config)
