# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From records to training examples: which source, which targets, and what is drawn of them in an epoch."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from mu2slam_hf.data.examples.example import TASK_NAMES, Example, Target
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language


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

    def build(self, records: Iterable[SpeechTextRecord]) -> list[Example]:
        """Speech examples, one per recording, then text examples, one per text that has a translation.

        Raises:
            ValueError: a record with audio has no duration (see `fill_durations`), or nothing at all came out.
        """
        records = list(records)
        examples: list[Example] = []
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

    def speech_example(self, record: SpeechTextRecord) -> Example | None:
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
        return Example(
            id=f"speech:{record.key}",
            source_modality="speech",
            source_lang=record.lang,
            targets=tuple(targets),
            corpus=record.corpus,
            record=record,
            duration_seconds=float(record.duration_seconds),
        )

    def text_examples(self, records: Iterable[SpeechTextRecord]) -> list[Example]:
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
                        Example(
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
) -> list[Example]:
    """`TaskBuilder(...).build(records)`."""
    return TaskBuilder(tasks=tasks, languages=languages, count_tokens=count_tokens).build(records)
