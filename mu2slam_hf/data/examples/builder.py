# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Construction of examples from records: sources and their targets."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from typing import Any

from huggingface_hub.dataclasses import strict

from mu2slam_hf.data.examples.example import TASK_NAMES, Example, Target
from mu2slam_hf.data.examples.token_counts import TokenCounter, count_characters
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language
from mu2slam_hf.models.task_types import MODALITIES, TASKS

_PROBE = "The quick brown fox jumps over the lazy dog."


@strict
@dataclass(kw_only=True)
class ExampleLimits:
    """Bounds on a single example; longer ones are left out and counted. None: no bound.

    Attributes:
        max_seconds: maximum length of a recording.
        max_tokens: maximum length of a text with its `</s>`, for source and targets separately.
    """

    max_seconds: float | int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0 or None, got {value}")


@dataclass(kw_only=True)
class ExampleBuilder:
    """Builds examples from records.

    Supervised training has one example per source, with all its targets: recordings first, then every text of every
    n-way parallel sentence, with its versions in all other languages. Pre-training (`one_target`) has one example per
    source and target, task by task: a recording or a text without a target ("speech", "text"), a recording with one
    text, or a pair of texts in one of the two directions. `TASKS` determines the targets of each task.

    Attributes:
        tasks: tasks to build: some of `TASK_NAMES`; with `one_target` also "speech" and "text".
        one_target: whether each example has one target only.
        languages: sources and targets in other languages are left out; None keeps all.
        count_tokens: function that returns the length of a text in tokens, without `</s>`.
        limits: longer examples are left out.
        translations_as_texts: whether each translation of a record is also a text of the task "text".
        left_out: reason -> number of candidates that were left out for it, counted while building.

    Raises:
        ValueError: no task, or an unknown one.
    """

    tasks: Collection[str] = TASK_NAMES
    one_target: bool = False
    languages: Collection[str] | None = None
    count_tokens: Callable[[str], int] = count_characters
    limits: ExampleLimits = field(default_factory=ExampleLimits)
    translations_as_texts: bool = False
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        known = [*MODALITIES, *TASK_NAMES] if self.one_target else TASK_NAMES
        if not self.tasks or set(self.tasks) - set(known):
            raise ValueError(f"`tasks` must be some of {', '.join(known)}; got {sorted(self.tasks)}")
        self._languages = None if self.languages is None else frozenset(map(canonical_language, self.languages))
        # Tasks whose examples are built together; all tasks of a group have one source modality.
        tasks = [task for task in known if task in self.tasks]
        together = [[task for task in tasks if _source_modality(task) == modality] for modality in MODALITIES]
        self._groups = [[task] for task in tasks] if self.one_target else [group for group in together if group]

    @property
    def reads_audio(self) -> bool:
        """Whether a task has speech as its source."""
        return any(_source_modality(task) == "speech" for task in self.tasks)

    def build(self, records: Iterable[SpeechTextRecord]) -> list[Example]:
        """Build the examples of all records.

        Records with the same corpus and id are versions of one sentence: each of its texts, and each pair of them, is
        built once, no matter how many records have it.

        Raises:
            ValueError: a required recording has no duration (see `fill_durations`), or there is no example.
        """
        records = list(records)
        if isinstance(self.count_tokens, TokenCounter):
            self.count_tokens.count_all(text for record in records for text in _texts_of(record).values())
        examples = [example for tasks in self._groups for example in self._build(records, tasks)]
        if not examples:
            raise ValueError(
                f"{len(records)} records give no example for task {self.task_names} ({self.describe_left_out()})"
            )
        return examples

    def examples_of(self, record: SpeechTextRecord) -> list[Example]:
        """Examples of one record; in a stream each sentence must occur once, with all its versions."""
        return [example for tasks in self._groups for example in self._build([record], tasks)]

    def example_of(self, record: SpeechTextRecord, turn: int) -> Example | None:
        """One of the examples of a record, without building the others; for builders of one task with `one_target`.

        Args:
            record: the record.
            turn: number of the example, modulo the number of texts or pairs of texts that the task has in the record.

        Returns:
            The example; None if the record has none, or if the one whose turn it is exceeds the limits.
        """
        (tasks,) = self._groups
        return next(self._build([record], tasks, turn), None)

    @property
    def task_names(self) -> str:
        """The tasks, for messages."""
        return ", ".join(map(repr, self.tasks))

    def describe_left_out(self) -> str:
        """Reasons with their counts, for messages."""
        return "; ".join(f"{count} x {reason}" for reason, count in self.left_out.most_common(5)) or "no candidate"

    def fingerprint_parts(self) -> list[Any]:
        """Parts of a fingerprint of the settings; for the tokenizer, the length of one sentence."""
        languages = None if self.languages is None else sorted(self.languages)
        limits = [self.limits.max_seconds, self.limits.max_tokens]
        return [languages, limits, self.translations_as_texts, self.count_tokens(_PROBE)]

    def _build(
        self, records: Iterable[SpeechTextRecord], tasks: Sequence[str], turn: int | None = None
    ) -> Iterator[Example]:
        if _source_modality(tasks[0]) == "speech":
            for record in records:
                yield from self._from_recording(record, tasks, turn)
            return
        sentences: dict[tuple[str, str], dict[str, str]] = {}
        translates = all(task in TASKS and not TASKS[task].same_language for task in tasks)
        for record in records:
            # Choice: in supervised translation, a sentence consists of a record and its translations; a record
            # without translations is not paired with others by its id.
            if not self.one_target and not (record.text and (record.translations or not translates)):
                continue
            texts = sentences.setdefault((record.corpus, record.id), {})
            own = _texts_of(record)
            if tasks == ["text"] and not self.translations_as_texts:
                own = {lang: text for lang, text in own.items() if lang == record.lang}
            texts.update({k: v for k, v in own.items() if k not in texts or (self.one_target and k == record.lang)})
        for (corpus, sentence_id), texts in sentences.items():
            yield from self._from_sentence(corpus, sentence_id, texts, tasks, turn)

    def _from_recording(self, record: SpeechTextRecord, tasks: Sequence[str], turn: int | None) -> Iterator[Example]:
        if record.audio is None or not self._wanted(record.lang):
            self.left_out["no audio" if record.audio is None else "other language"] += 1
            return
        targets = self._targets(tasks, record.lang, self._wanted_texts(_texts_of(record)), turn)
        if not targets and tasks != ["speech"]:
            reasons = {True: "no transcript", False: "no translation into a wanted language"}
            self.left_out[" and ".join(reasons[TASKS[task].same_language is True] for task in tasks)] += 1
            return
        if record.duration_seconds is None:
            raise ValueError(f"record {record.key!r} has audio but no duration; call `fill_durations` on the records")
        longest = self.limits.max_seconds
        if longest is not None and record.duration_seconds > longest:
            self.left_out[f"longer than {longest:g} s"] += 1
            return
        source = Example(
            id=f"speech:{record.key}",
            source_modality="speech",
            source_lang=record.lang,
            corpus=record.corpus,
            record=record,
            duration_seconds=float(record.duration_seconds),
        )
        if not targets or not self.one_target:
            yield from self._within_limits(replace(source, targets=targets))
            return
        for target in targets:
            example_id = f"{target.task}:{record.key}" + ("" if target.lang == record.lang else f":{target.lang}")
            yield from self._within_limits(replace(source, id=example_id, targets=(target,)))

    def _from_sentence(
        self, corpus: str, sentence_id: str, texts: Mapping[str, str], tasks: Sequence[str], turn: int | None
    ) -> Iterator[Example]:
        """Examples of the versions of a sentence: every language a source, or every pair of languages."""
        task, texts = tasks[0], self._wanted_texts(texts)
        if tasks != ["text"]:
            texts.pop(UNDETERMINED, None)
        if not self.one_target or task == "text" or TASKS[task].same_language:
            prefix = task if self.one_target else "text"
            sources = [(f"{prefix}:{corpus}/{lang}/{sentence_id}", lang, texts) for lang in texts]
        else:
            sources = []
            for pair in combinations(texts, 2):
                example_id = f"{task}:{corpus}/{sentence_id}:{'-'.join(pair)}"
                sources.append((example_id, pair[_draw_source(example_id)], {lang: texts[lang] for lang in pair}))
        made = 0
        if turn is not None and sources:
            sources = [sources[turn % len(sources)]]
        for example_id, lang, versions in sources:
            targets = self._targets(tasks, lang, versions)
            if not targets and tasks != ["text"]:
                continue
            made += 1
            example = Example(
                id=example_id,
                source_modality="text",
                source_lang=lang,
                targets=targets,
                corpus=corpus,
                source_text=texts[lang],
                num_source_tokens=self.count_tokens(texts[lang]) + 1,
            )
            yield from self._within_limits(example)
        if not made:
            self.left_out[
                "no text in a wanted language" if task == "text" else "no two texts in wanted languages"
            ] += 1

    def _targets(
        self, tasks: Sequence[str], source_lang: str, texts: Mapping[str, str], turn: int | None = None
    ) -> tuple[Target, ...]:
        """The texts that are targets of a source in `source_lang`, task by task, or the one whose turn it is."""
        results = [
            (task, lang)
            for task in tasks
            if task in TASKS
            for lang in texts
            if TASKS[task].same_language in (None, lang == source_lang)
        ]
        if turn is not None and results:
            results = [results[turn % len(results)]]
        return tuple(
            Target(task=task, lang=lang, text=texts[lang], num_tokens=self.count_tokens(texts[lang]) + 1)
            for task, lang in results
        )

    def _within_limits(self, example: Example) -> Iterator[Example]:
        """Yield the example, or count it as left out if a text is too long."""
        longest = self.limits.max_tokens
        lengths = [example.num_source_tokens, *(target.num_tokens for target in example.targets)]
        too_long = 0 if longest is None else sum(length > longest for length in lengths)
        if not too_long:
            yield example
        else:
            self.left_out[f"text of more than {longest} tokens"] += too_long

    def _wanted(self, lang: str) -> bool:
        return self._languages is None or lang in self._languages

    def _wanted_texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Texts in the selected languages, in the order of their codes."""
        return {lang: text for lang, text in sorted(texts.items()) if self._wanted(lang)}


def _source_modality(task: str) -> str:
    return TASKS[task].source if task in TASKS else task


def _texts_of(record: SpeechTextRecord) -> dict[str, str]:
    """Language -> text: the record's own and its translations."""
    return {**({record.lang: record.text} if record.text else {}), **record.translations}


def _draw_source(example_id: str) -> int:
    """Index of the language of a pair that is the source x: a random choice by its id.

    Choice: both directions are views of the pair, but only the language of x may be `und`; in alphabetical order some
    languages would never be.
    """
    return blake2b(example_id.encode(), digest_size=1).digest()[0] % 2
