# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Examples: a source, speech or text, with the texts that are its targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mu2slam_hf.data.examples.batch_limits import ExampleCost
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import join_texts
from mu2slam_hf.models.task_types import TASKS

TASK_NAMES: tuple[str, ...] = tuple(name for name, kind in TASKS.items() if kind.target == "text")
"""Tasks with a text target, in the order of the numbers in a batch's `task_ids`."""

Modality = Literal["speech", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One text that a model learns to produce from a source; `num_tokens` counts its `</s>`."""

    task: str
    lang: str
    text: str
    num_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One source with its targets.

    Attributes:
        id: unique over the training data; random draws are keyed by it. It begins with a task, see `task_of_id`.
        source_modality: "speech" or "text".
        source_lang: the true language of the source.
        targets: none in unlabeled data, one in paired data of pre-training, one or more in supervised training.
        corpus: name of the corpus, for weights and reports.
        record: the record of a speech source.
        source_text: the text of a text source.
        second_text: the second segment of a text source: the other text of a pair, or the passage of a question.
        answer_span: first character, and the one after the last, of the answer in `second_text`; None if it has none.
        duration_seconds: length of a speech source.
        num_source_tokens: length of a text source with its `</s>`.
    """

    id: str
    source_modality: Modality
    source_lang: str
    targets: tuple[Target, ...] = ()
    corpus: str = ""
    record: SpeechTextRecord | None = None
    source_text: str | None = None
    second_text: str | None = None
    answer_span: tuple[int, int] | None = None
    duration_seconds: float = 0.0
    num_source_tokens: int = 0

    @property
    def task(self) -> str:
        """Task of the only target; "speech" or "text" for a source without targets.

        Raises:
            ValueError: several targets, or a task with another source modality.
        """
        if not self.targets:
            return self.source_modality
        tasks = [target.task for target in self.targets]
        if len(tasks) > 1 or tasks[0] not in TASKS or TASKS[tasks[0]].source != self.source_modality:
            raise ValueError(
                f"{self.id}: pre-training expects at most one target, of a task with the source's modality; got "
                f"{self.source_modality} with {tasks}"
            )
        return tasks[0]

    @property
    def sampling_language(self) -> str:
        """Language for the sampling temperature: `en-fr` for a pair of texts in either order, else the source's."""
        if len(self.targets) == 1 and self.source_modality == "text":
            return "-".join(sorted({self.source_lang, self.targets[0].lang}))
        return self.source_lang

    @property
    def num_target_tokens(self) -> int:
        """Number of decoder positions of all targets."""
        return sum(target.num_tokens for target in self.targets)

    @property
    def num_text_tokens(self) -> int:
        """Number of tokens of source and targets, for a budget of tokens."""
        return self.num_source_tokens + self.num_target_tokens

    @property
    def cost(self) -> ExampleCost:
        """Size in a batch with all targets."""
        return ExampleCost(self.duration_seconds, self.num_source_tokens, self.num_target_tokens)


def task_of_id(example_id: str) -> str:
    """The task at the beginning of an id (`asr:corpus/en/7`); the source modality of supervised examples."""
    return example_id.split(":", 1)[0]


def join_examples(parts: Sequence[Example]) -> Example:
    """Concatenate utterances into one example, with the targets that all of them have.

    Args:
        parts: speech examples of one language; id and record are those of the first.
    """
    by_part = [{(target.task, target.lang): target for target in part.targets} for part in parts]
    targets = []
    for name in by_part[0]:
        versions = [part[name] for part in by_part if name in part]
        if len(versions) == len(parts):
            text = join_texts([version.text for version in versions], name[1])
            targets.append(replace(versions[0], text=text, num_tokens=sum(version.num_tokens for version in versions)))
    return replace(parts[0], targets=tuple(targets), duration_seconds=sum(part.duration_seconds for part in parts))
