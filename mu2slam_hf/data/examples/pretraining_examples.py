# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From records to the five kinds of examples of pre-training: speech, text, asr, ast and mt.

An unlabeled example is a source without targets; a labeled one is a source with exactly one target. Which views are
made of an example, and what is masked in them, is decided later.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations

from huggingface_hub.dataclasses import strict

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.examples.tasks import count_characters
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language
from mu2slam_hf.models.task_types import PRETRAINING_TASKS


@strict
@dataclass(kw_only=True)
class ExampleLimits:
    """What a single example may hold; others are left out and counted. None: no bound.

    Attributes:
        max_seconds: longest recording.
        max_tokens: longest text, with its `</s>`; a pair of texts is bounded text by text.
    """

    max_seconds: float | int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0 or None, got {value}")


@dataclass(kw_only=True)
class PretrainingExampleBuilder:
    """Makes the examples of one task.

    Attributes:
        task: one of `PRETRAINING_TASKS`.
        languages: sources and targets in other languages are left out; None keeps all.
        count_tokens: length of a text in tokens, without `</s>`.
        limits: longer examples are left out.
        translations_as_texts: for `text`: each translation of a record is a text of its own too.
        left_out: reason -> how many candidates were left out for it, counted while building.
    """

    task: str
    languages: Collection[str] | None = None
    count_tokens: Callable[[str], int] = count_characters
    limits: ExampleLimits = field(default_factory=ExampleLimits)
    translations_as_texts: bool = False
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.task not in PRETRAINING_TASKS:
            raise ValueError(f"`task` must be one of {', '.join(PRETRAINING_TASKS)}; got {self.task!r}")
        self._languages = None if self.languages is None else frozenset(map(canonical_language, self.languages))

    def build(self, records: Iterable[SpeechTextRecord]) -> list[Example]:
        """Examples of all records together.

        Records with one corpus and id are versions of one sentence: each of its texts, and each pair of them, is made
        once, whichever records have it.

        Raises:
            ValueError: a recording that is wanted has no duration, or nothing at all came out.
        """
        num_records = 0
        examples: list[Example] = []
        sentences: dict[tuple[str, str], dict[str, str]] = {}
        for record in records:
            num_records += 1
            if self.task in ("text", "mt"):
                texts = sentences.setdefault((record.corpus, record.id), {})
                own = self._texts_of(record)
                texts.update({lang: text for lang, text in own.items() if lang == record.lang or lang not in texts})
            else:
                examples += self.examples_of(record)
        for (corpus, sentence_id), texts in sentences.items():
            examples += self._examples_of_texts(corpus, sentence_id, texts)
        if not examples:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in self.left_out.most_common())
            raise ValueError(
                f"{num_records} records give no example for task {self.task!r} ({reasons or 'none came'})"
            )
        return examples

    def examples_of(self, record: SpeechTextRecord) -> list[Example]:
        """Examples of one record by itself; in a stream each sentence must come once, with all its versions."""
        if self.task in ("text", "mt"):
            return list(self._examples_of_texts(record.corpus, record.id, self._texts_of(record)))
        return list(self._speech_examples(record))

    def _texts_of(self, record: SpeechTextRecord) -> dict[str, str]:
        texts = {record.lang: record.text} if record.text else {}
        if self.task == "text" and not self.translations_as_texts:
            return texts
        return {**texts, **record.translations}

    def _examples_of_texts(self, corpus: str, sentence_id: str, texts: Mapping[str, str]) -> Iterator[Example]:
        wanted = {lang: text for lang, text in sorted(texts.items()) if self._wanted(lang)}
        if self.task == "text":
            if not wanted:
                self.left_out["no text in a wanted language"] += 1
            for lang, text in wanted.items():
                num_tokens = self._num_tokens(text)
                if num_tokens is not None:
                    yield _text_source(f"text:{corpus}/{lang}/{sentence_id}", corpus, lang, text, num_tokens)
            return
        wanted.pop(UNDETERMINED, None)
        if len(wanted) < 2:
            self.left_out["no two texts in wanted languages"] += 1
        for pair in combinations(wanted, 2):
            example_id = f"mt:{corpus}/{sentence_id}:{'-'.join(pair)}"
            source, target = pair if _first_is_source(example_id) else pair[::-1]
            num_tokens, num_target_tokens = self._num_tokens(wanted[source]), self._num_tokens(wanted[target])
            if num_tokens is None or num_target_tokens is None:
                continue
            targets = (Target(task="mt", lang=target, text=wanted[target], num_tokens=num_target_tokens),)
            yield _text_source(example_id, corpus, source, wanted[source], num_tokens, targets)

    def _speech_examples(self, record: SpeechTextRecord) -> Iterator[Example]:
        if record.audio is None or not self._wanted(record.lang):
            self.left_out["no audio" if record.audio is None else "other language"] += 1
            return
        if self.task == "speech":
            texts: dict[str, str] = {}
        elif self.task == "asr":
            texts = {record.lang: record.text} if record.text else {}
        else:
            texts = {lang: text for lang, text in sorted(record.translations.items()) if self._wanted(lang)}
        if self.task != "speech" and not texts:
            self.left_out["no transcript" if self.task == "asr" else "no translation into a wanted language"] += 1
            return
        if record.duration_seconds is None:
            raise ValueError(f"record {record.key!r} has audio but no duration; call `fill_durations` on the records")
        longest = self.limits.max_seconds
        if longest is not None and record.duration_seconds > longest:
            self.left_out[f"longer than {longest:g} s"] += 1
            return
        if self.task == "speech":
            yield _speech_source(f"speech:{record.key}", record, ())
        for lang, text in texts.items():
            num_tokens = self._num_tokens(text)
            if num_tokens is not None:
                example_id = f"asr:{record.key}" if self.task == "asr" else f"ast:{record.key}:{lang}"
                target = Target(task=self.task, lang=lang, text=text, num_tokens=num_tokens)
                yield _speech_source(example_id, record, (target,))

    def _wanted(self, lang: str) -> bool:
        return self._languages is None or lang in self._languages

    def _num_tokens(self, text: str) -> int | None:
        """Length with `</s>`; None, and counted, where it is beyond the limit."""
        num_tokens = self.count_tokens(text) + 1
        if self.limits.max_tokens is not None and num_tokens > self.limits.max_tokens:
            self.left_out[f"text of more than {self.limits.max_tokens} tokens"] += 1
            return None
        return num_tokens


def build_pretraining_examples(
    records: Iterable[SpeechTextRecord],
    task: str,
    *,
    languages: Collection[str] | None = None,
    count_tokens: Callable[[str], int] = count_characters,
    limits: ExampleLimits | None = None,
    translations_as_texts: bool = False,
    left_out: Counter[str] | None = None,
) -> list[Example]:
    """`PretrainingExampleBuilder(...).build(records)`; `left_out` is filled with the reasons and their numbers."""
    builder = PretrainingExampleBuilder(
        task=task,
        languages=languages,
        count_tokens=count_tokens,
        limits=limits or ExampleLimits(),
        translations_as_texts=translations_as_texts,
        left_out=left_out if left_out is not None else Counter(),
    )
    return builder.build(records)


def _first_is_source(example_id: str) -> bool:
    """Which of two languages is the source x of a pair: a coin thrown by its id.

    Choice: both directions are views of the pair, but only x may be left unnamed (`und`); in alphabetical order some
    languages would never be.
    """
    return blake2b(example_id.encode(), digest_size=1).digest()[0] % 2 == 0


def _text_source(
    example_id: str, corpus: str, lang: str, text: str, num_tokens: int, targets: tuple[Target, ...] = ()
) -> Example:
    return Example(
        id=example_id,
        source_modality="text",
        source_lang=lang,
        targets=targets,
        corpus=corpus,
        source_text=text,
        num_source_tokens=num_tokens,
    )


def _speech_source(example_id: str, record: SpeechTextRecord, targets: tuple[Target, ...]) -> Example:
    return Example(
        id=example_id,
        source_modality="speech",
        source_lang=record.lang,
        targets=targets,
        corpus=record.corpus,
        record=record,
        duration_seconds=float(record.duration_seconds or 0.0),
    )
