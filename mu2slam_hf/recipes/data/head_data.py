# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training and test data of a head: records, classes, and examples of every kind of head."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.example import Example, Modality, Target
from mu2slam_hf.data.examples.question_windows import build_question_examples, has_answer
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.recipes.data.records import load_records
from mu2slam_hf.recipes.schema.head import HeadCorpusSection, HeadRecipe
from mu2slam_hf.recipes.schema.loader import RecipeError

logger = logging.get_logger(__name__)


def load_head_records(corpora: dict[str, HeadCorpusSection], path: str) -> dict[str, list[SpeechTextRecord]]:
    """Records of each corpus that have the source of its modality, in its languages.

    Raises:
        RecipeError: a corpus has no such record.
    """
    chosen = {}
    for name, records in load_records(corpora, path).items():
        section = corpora[name]
        source = "audio" if section.modality == "speech" else "text"
        wanted = set(section.languages)
        chosen[name] = [r for r in records if getattr(r, source) and (not wanted or r.lang in wanted)]
        if not chosen[name]:
            raise RecipeError(f"{path}.{name}: no record with {source} in the selected languages")
    return chosen


def label_of(record: SpeechTextRecord, name: str) -> str | None:
    """The class of a record: a field of it, or another column of its manifest; None if it has none."""
    value = getattr(record, name) if name in ("lang", "speaker", "kind", "corpus") else record.extra.get(name)
    return None if value is None or value == "" else str(value)


def find_labels(recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]]) -> list[str]:
    """Names of the classes; none for CTC and answers.

    Raises:
        RecipeError: the training data have fewer than two classes.
    """
    if not recipe.head.is_classifier:
        return []
    classes = {label_of(record, recipe.head.label) for part in records.values() for record in part} - {None}
    labels = list(recipe.head.labels) or sorted(str(label) for label in classes)
    if len(labels) < 2:
        raise RecipeError(f"head.label: expected at least two classes; {recipe.head.label!r} has {labels}")
    return labels


def build_head_dataset(
    recipe: HeadRecipe, records: Sequence[SpeechTextRecord], modality: Modality, labels: Sequence[str], path: str
) -> ExampleDataset:
    """Records with a class, a transcript or the second of two texts; others are left out and counted.

    Raises:
        RecipeError: no record has one.
    """
    head, known = recipe.head, set(labels)
    examples = []
    for record in records:
        text = record.text if head.writes_transcripts else label_of(record, head.label)
        second = None if head.second_text is None else str(record.extra.get(head.second_text) or "")
        if text and second != "" and (head.writes_transcripts or text in known):
            task = "asr" if head.writes_transcripts else head.kind
            examples.append(build_head_example(record, modality, task, text, second))
    if len(examples) < len(records):
        left_out = len(records) - len(examples)
        logger.warning(f"{path}: {left_out} of {len(records)} left out: without a class or transcript")
    if not examples:
        raise RecipeError(f"{path}: no record has a transcript or one of the classes {', '.join(labels)}")
    cache = AudioCache() if recipe.data.cache_audio else None
    return ExampleDataset(examples, cache=cache, band_limit_hz=recipe.data.band_limit_hz)


def build_question_dataset(
    recipe: HeadRecipe, records: Sequence[SpeechTextRecord], tokenizer: Any, path: str
) -> ExampleDataset:
    """Windows of the passages of all questions with a known answer; others are left out and counted.

    Raises:
        RecipeError: no question has a known answer.
    """
    head = recipe.head
    asked = [record for record in records if has_answer(record)]
    if len(asked) < len(records):
        logger.warning(f"{path}: {len(records) - len(asked)} of {len(records)} left out: without a known answer")
    if not asked:
        raise RecipeError(
            f"{path}: none of {len(records)} records is a question with a passage and a known answer (the answers of "
            "a public test set are often blank)"
        )
    return ExampleDataset(
        [
            example
            for record in asked
            for example in build_question_examples(
                record, tokenizer, max_tokens=head.max_tokens, overlap_tokens=head.overlap_tokens
            )
        ]
    )


def build_head_example(
    record: SpeechTextRecord, modality: Modality, task: str, text: str, second_text: str | None = None
) -> Example:
    """A recording, a text or a pair of texts with one target: its transcript, or the name of its class."""
    is_speech = modality == "speech"
    return Example(
        id=record.key,
        source_modality=modality,
        source_lang=record.lang,
        targets=(Target(task=task, lang=record.lang, text=text, num_tokens=len(text) + 1),),
        corpus=record.corpus,
        record=record,
        source_text=None if is_speech else record.text,
        second_text=second_text,
        duration_seconds=float(record.duration_seconds or 0.0) if is_speech else 0.0,
    )


def build_training_data(
    recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]], labels: Sequence[str], tokenizer: Any
) -> ExampleDataset:
    """All training corpora as one data set.

    Raises:
        RecipeError: corpora of different modalities, or a modality that the head cannot read.
    """
    modalities = {section.modality for section in recipe.data.corpora.values()}
    if len(modalities) != 1:
        raise RecipeError(f"data.corpora: all must have one modality, got {', '.join(sorted(modalities)) or 'none'}")
    (modality,) = modalities
    everything = [record for part in records.values() for record in part]
    if recipe.head.answers_questions:
        return build_question_dataset(recipe, everything, tokenizer, "data.corpora")
    return build_head_dataset(recipe, everything, modality, labels, "data.corpora")


def balance_classes(targets: Sequence[Any]) -> list[int]:
    """Positions with repetitions, so that all classes have the same number of items as the largest."""
    largest = max(Counter(targets).values())
    balanced: list[int] = []
    for target in sorted(set(targets)):
        members = [position for position, other in enumerate(targets) if other == target]
        balanced += [members[i % len(members)] for i in range(largest)]
    return balanced


def check_modalities(recipe: HeadRecipe) -> None:
    """Check that a head can read the modality of every corpus.

    Raises:
        RecipeError: it cannot.
    """
    head = recipe.head
    supported = "text" if head.answers_questions or head.second_text is not None else "speech"
    if head.kind == "sequence_classification" and head.second_text is None:
        return
    for path, corpora in (("data", recipe.data.corpora), ("evaluation", recipe.evaluation.corpora)):
        for name, corpus in corpora.items():
            if corpus.modality != supported:
                what = head.kind + (" of pairs" if head.second_text is not None else "")
                raise RecipeError(f"{path}.corpora.{name}.modality: {what} supports {supported} only")
