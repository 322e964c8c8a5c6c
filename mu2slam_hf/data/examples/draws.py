# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Random draws of an example in every epoch: its targets, and whether its source language is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from huggingface_hub.dataclasses import strict

from mu2slam_hf.data.examples.batch_limits import ExampleCost
from mu2slam_hf.data.examples.example import TASK_NAMES, Example, Target
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.models.language_codes import UNDETERMINED


@strict
@dataclass(kw_only=True)
class DrawOptions:
    """Options of the draws in every epoch.

    Attributes:
        max_targets: maximum number of targets of one example in an epoch; None for all.
        task_weights: relative probability of a target by task, default 1; `inf` always, 0 never.
        undetermined_source_ratio: share of draws without the source language as an input of the model.
    """

    max_targets: int | None = None
    task_weights: dict[str, float | int] = field(default_factory=dict)
    undetermined_source_ratio: float | int = 0.0

    def __post_init__(self) -> None:
        if self.max_targets is not None and self.max_targets < 1:
            raise ValueError(f"`max_targets` must be at least 1 or None, got {self.max_targets}")
        for task, weight in self.task_weights.items():
            if task not in TASK_NAMES or not weight >= 0:
                raise ValueError(
                    f"`task_weights` expects weights of at least 0 for {', '.join(TASK_NAMES)}; got {task}: {weight}"
                )
        if not 0 <= self.undetermined_source_ratio <= 1:
            raise ValueError(f"`undetermined_source_ratio` must be in [0, 1], got {self.undetermined_source_ratio}")


@dataclass(frozen=True, kw_only=True)
class DrawnExample:
    """One example as it is trained on in one epoch.

    Attributes:
        key: key of the draw.
        example: the example, joined if two utterances were concatenated.
        parts: the utterances, one or two.
        gap_seconds: silence between the utterances.
        speed_factor: factor of the speed perturbation.
        source_lang: source language given to the model; `und` in a share of the draws.
        targets: the targets drawn.
    """

    key: DrawKey
    example: Example
    parts: tuple[Example, ...]
    gap_seconds: float
    speed_factor: float
    source_lang: str
    targets: tuple[Target, ...]

    @property
    def task(self) -> str:
        """Task of the only target drawn; "speech" or "text" for a source without targets.

        Raises:
            ValueError: several targets, or a task with another source modality.
        """
        return replace(self.example, targets=self.targets).task

    @property
    def duration_seconds(self) -> float:
        """Length of the waveform after concatenation and speed perturbation."""
        return (self.example.duration_seconds + self.gap_seconds) / self.speed_factor

    @property
    def cost(self) -> ExampleCost:
        """Size in a batch."""
        num_target_tokens = sum(target.num_tokens for target in self.targets)
        return ExampleCost(self.duration_seconds, self.example.num_source_tokens, num_target_tokens)


def draw_targets(
    targets: Sequence[Target],
    max_targets: int | None,
    task_weights: Mapping[str, float],
    generator: np.random.Generator,
) -> tuple[Target, ...]:
    """At most `max_targets` of the targets, in their order, drawn without replacement.

    Args:
        targets: all targets of an example.
        max_targets: maximum number of targets; None for all with a weight above 0.
        task_weights: relative probability of a target by its task, default 1; `inf` always, 0 never.
        generator: source of random numbers; exactly one number per target is drawn from it.
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
    """The source language given to the model: the true one, or `und` in the given share of draws.

    Choice: 30 % in our recipes, so that the model also works with an unknown source language and its language head
    is trained.
    """
    return UNDETERMINED if generator.random() < undetermined_source_ratio else lang
