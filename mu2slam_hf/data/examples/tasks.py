# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From records to training examples: which source, which targets, and what is drawn of them in an epoch."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

import numpy as np

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language

TASK_NAMES: tuple[str, ...] = ("asr", "ast", "mt")
"""Tasks with a text target, in the order of the numbers in a batch's `task_ids`."""

Modality = Literal["speech", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One text that a source is to be turned into; `num_tokens` counts its `</s>`."""

    task: str
    lang: str
    text: str
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingExample:
    """One source with all the targets it has.

    Attributes:
        id: unique over the training data; random draws are keyed by it.
        source_modality: speech or text.
        source_lang: the true language of the source.
        targets: every target; `draw_targets` takes some of them per epoch.
        corpus: name of the corpus, for weights and reports.
        record: the record behind a speech source.
        source_text: the text of a text source.
        duration_seconds: length of a speech source.
        num_source_tokens: length of a text source.
    """

    id: str
    source_modality: Modality
    source_lang: str
    targets: tuple[Target, ...]
    corpus: str = ""
    record: SpeechTextRecord | None = None
    source_text: str | None = None
    duration_seconds: float = 0.0
    num_source_tokens: int = 0

    @property
    def num_target_tokens(self) -> int:
        """Decoder positions of all targets together."""
        return sum(target.num_tokens for target in self.targets)


def count_characters(text: str) -> int:
    """Tokens of a text for a character tokenizer."""
    return len(text)


@dataclass(frozen=True, kw_only=True)
class TaskBuilder:
    """Makes examples of records.

    Attributes:
        tasks: which of asr, ast and mt to make.
        languages: sources and targets in other languages are left out; None keeps all.
        count_tokens: length of a text in tokens, without `</s>`; only batch sizes depend on it.
    """

    tasks: Collection[str] = TASK_NAMES
    languages: Collection[str] | None = None
    count_tokens: Callable[[str], int] = count_characters
    _languages: frozenset[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.tasks) - set(TASK_NAMES))
        if unknown or not self.tasks:
            raise ValueError(f"`tasks` must be some of {', '.join(TASK_NAMES)}; got {sorted(self.tasks)}")
        if self.languages is not None:
            object.__setattr__(self, "_languages", frozenset(map(canonical_language, self.languages)))

    def build(self, records: Iterable[SpeechTextRecord]) -> list[TrainingExample]:
        """Speech examples, one per recording, then text examples, one per text that has a translation.

        Raises:
            ValueError: a record with audio has no duration (see `fill_durations`), or nothing at all came out.
        """
        records = list(records)
        examples: list[TrainingExample] = []
        if {"asr", "ast"} & set(self.tasks):
            examples += [example for record in records if (example := self.speech_example(record)) is not None]
        if "mt" in self.tasks:
            examples += self.text_examples(records)
        if not examples:
            raise ValueError(
                f"{len(records)} records give no example for tasks {sorted(self.tasks)} in languages "
                f"{sorted(self._languages) if self._languages else 'of any kind'}"
            )
        return examples

    def speech_example(self, record: SpeechTextRecord) -> TrainingExample | None:
        """The recording with its transcript and translations as targets; None where there is nothing to learn."""
        if record.audio is None or not self._wanted(record.lang):
            return None
        targets = []
        if "asr" in self.tasks and record.text:
            targets.append(self._target("asr", record.lang, record.text))
        if "ast" in self.tasks:
            pairs = sorted(record.translations.items())
            targets += [self._target("ast", lang, text) for lang, text in pairs if self._wanted(lang)]
        if not targets:
            return None
        if record.duration_seconds is None:
            raise ValueError(f"record {record.key!r} has audio but no duration; call `fill_durations` on the records")
        return TrainingExample(
            id=f"speech:{record.key}",
            source_modality="speech",
            source_lang=record.lang,
            targets=tuple(targets),
            corpus=record.corpus,
            record=record,
            duration_seconds=float(record.duration_seconds),
        )

    def text_examples(self, records: Iterable[SpeechTextRecord]) -> list[TrainingExample]:
        """Every text of every n-way parallel sentence as a source, with its versions in all other languages.

        Records that share corpus and id are versions of one sentence: the directions they have in common are made
        once, and a language that only occurs as a translation becomes a source too.
        """
        sentences: dict[tuple[str, str], dict[str, str]] = {}
        for record in records:
            if record.translations and record.text:
                texts = sentences.setdefault((record.corpus, record.id), {})
                for lang, text in {record.lang: record.text, **record.translations}.items():
                    if self._wanted(lang) and lang != UNDETERMINED:
                        texts.setdefault(lang, text)
        examples = []
        for (corpus, sentence_id), texts in sentences.items():
            for lang, text in sorted(texts.items()):
                pairs = sorted(texts.items())
                targets = tuple(self._target("mt", other, version) for other, version in pairs if other != lang)
                if targets:
                    examples.append(
                        TrainingExample(
                            id=f"text:{corpus}/{lang}/{sentence_id}",
                            source_modality="text",
                            source_lang=lang,
                            targets=targets,
                            corpus=corpus,
                            source_text=text,
                            num_source_tokens=self.count_tokens(text) + 1,
                        )
                    )
        return examples

    def _wanted(self, lang: str) -> bool:
        return self._languages is None or lang in self._languages

    def _target(self, task: str, lang: str, text: str) -> Target:
        return Target(task=task, lang=lang, text=text, num_tokens=self.count_tokens(text) + 1)


def build_examples(
    records: Iterable[SpeechTextRecord],
    *,
    tasks: Collection[str] = TASK_NAMES,
    languages: Collection[str] | None = None,
    count_tokens: Callable[[str], int] = count_characters,
) -> list[TrainingExample]:
    """`TaskBuilder(...).build(records)`."""
    return TaskBuilder(tasks=tasks, languages=languages, count_tokens=count_tokens).build(records)


def draw_targets(
    targets: Sequence[Target],
    max_targets: int | None,
    task_weights: Mapping[str, float],
    generator: np.random.Generator,
) -> tuple[Target, ...]:
    """At most `max_targets` of the targets, in their order, drawn without replacement.

    Args:
        targets: all targets of an example.
        max_targets: how many to take; None takes all that have a weight above 0.
        task_weights: relative chance of a target by its task, default 1; `inf` is always taken, 0 never.
        generator: where the draw comes from; exactly one number per target is taken from it.
    """
    # Efraimidis and Spirakis: the k largest of u ** (1 / w) are a weighted sample without replacement.
    uniform = generator.random(len(targets))
    ranks: list[tuple[float, int]] = []
    for position, target in enumerate(targets):
        weight = task_weights.get(target.task, 1.0)
        if weight > 0:
            rank = 1.0 + uniform[position] if weight == inf else float(uniform[position]) ** (1.0 / weight)
            ranks.append((float(rank), position))
    ranks.sort(reverse=True)
    chosen = sorted(position for _, position in ranks[:max_targets])
    return tuple(targets[position] for position in chosen)


def draw_source_lang(lang: str, undetermined_source_ratio: float, generator: np.random.Generator) -> str:
    """The source language that the model is told: the true one, or `und` in the given share of draws.

    Choice: 30 % in our recipes, so that the model works without being told and its language head learns to guess.
    """
    return UNDETERMINED if generator.random() < undetermined_source_ratio else lang


def join_examples(parts: Sequence[TrainingExample], joined_texts: Callable[[list[str], str], str]) -> TrainingExample:
    """Utterances spoken one after the other as one example; only targets that all of them have remain.

    Args:
        parts: speech examples of one language; the first gives id and record.
        joined_texts: `(texts, lang) -> text`.
    """
    by_part = [{(target.task, target.lang): target for target in part.targets} for part in parts]
    targets = []
    for name in by_part[0]:
        versions = [part[name] for part in by_part if name in part]
        if len(versions) == len(parts):
            text = joined_texts([version.text for version in versions], name[1])
            targets.append(replace(versions[0], text=text, num_tokens=sum(version.num_tokens for version in versions)))
    return replace(parts[0], targets=tuple(targets), duration_seconds=sum(part.duration_seconds for part in parts))
