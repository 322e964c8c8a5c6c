# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Composition of a batch of pre-training: shares of tasks, temperatures, weights of corpora, budgets."""

from dataclasses import dataclass, field
from typing import Any

from huggingface_hub.dataclasses import strict

from mu2slam_hf.models.task_types import PRETRAINING_TASKS

PAPER_SHARES = {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}
PAPER_TEMPERATURES = {"text": 3.0, "mt": 2.0}


@strict
@dataclass(kw_only=True)
class MixtureConfig:
    """Composition of a micro-batch of one device.

    Paper: section 3.1: 4 speech-only, 8 text-only, 1 AST, 1 ASR and 1 MT example per device; languages of text-only
    data are sampled with T = 3, those of MT pairs with T = 2. Section A gives no temperature for speech.
    Choice: 1 for all other tasks.

    Attributes:
        shares: task -> examples per device and micro-batch; other tasks are not trained.
        temperatures: task -> T of `p ~ n ** (1 / T)` over its languages (over pairs for mt); those not named keep
            the defaults: 3 for text, 2 for mt, 1 for the others.
        corpus_weights: task -> corpus -> number of passes over the corpus per epoch of the task, default 1.
        max_seconds: speech in one micro-batch of one device; None: no bound.
        max_tokens: text tokens, of sources and targets, in one micro-batch of one device; None: no bound.
    """

    shares: dict[str, int] = field(default_factory=lambda: dict(PAPER_SHARES))
    temperatures: dict[str, float | int] = field(default_factory=dict)
    corpus_weights: dict[str, dict[str, float | int]] = field(default_factory=dict)
    max_seconds: float | int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("shares", "temperatures", "corpus_weights"):
            unknown = sorted(set(getattr(self, name)) - set(PRETRAINING_TASKS))
            if unknown:
                raise ValueError(f"`{name}` names {unknown}; the tasks are {', '.join(PRETRAINING_TASKS)}")
        if any(share < 0 for share in self.shares.values()) or not any(self.shares.values()):
            raise ValueError(f"`shares` must be 0 or more and one of them above 0, got {self.shares}")
        for task, temperature in self.temperatures.items():
            if not temperature > 0:
                raise ValueError(f"`temperatures[{task}]` must be above 0, got {temperature}")
        for task, weights in self.corpus_weights.items():
            for corpus, weight in weights.items():
                if not weight >= 0:
                    raise ValueError(f"`corpus_weights[{task}][{corpus}]` must not be negative, got {weight}")
        for name in ("max_seconds", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0 or None, got {value}")

    @property
    def tasks(self) -> list[str]:
        """Tasks with a share, in the order of `PRETRAINING_TASKS`."""
        return [task for task in PRETRAINING_TASKS if self.shares.get(task, 0) > 0]

    def temperature(self, task: str) -> float:
        """T of a task."""
        return float(self.temperatures.get(task, PAPER_TEMPERATURES.get(task, 1.0)))

    def exceeded_by(self, seconds: float, tokens: int) -> bool:
        """Whether this amount exceeds a budget of one micro-batch."""
        return (self.max_seconds is not None and seconds > self.max_seconds) or (
            self.max_tokens is not None and tokens > self.max_tokens
        )

    def fingerprint_parts(self) -> dict[str, Any]:
        """Settings that draws depend on, name -> value; numbers as floats, with defaults."""
        weights = {task: self.corpus_weights.get(task, {}) for task in self.tasks}
        return {
            "shares": {task: self.shares[task] for task in self.tasks},
            "temperatures": {task: self.temperature(task) for task in self.tasks},
            "corpus weights": {
                task: {corpus: float(weight) for corpus, weight in sorted(weights[task].items())}
                for task in self.tasks
            },
            "budgets": (None if self.max_seconds is None else float(self.max_seconds), self.max_tokens),
        }
