# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The shares of the tasks in a batch, the order in which the tasks take turns, and how a step is dealt to devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from huggingface_hub.dataclasses import strict

from mu2slam_hf.data.sampling.mixture import IntArray, MixtureConfig
from mu2slam_hf.models.task_types import PRETRAINING_TASKS

FloatArray = npt.NDArray[np.float64]

PAPER_SHARES = {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}
PAPER_TEMPERATURES = {"text": 3.0, "mt": 2.0}


@strict
@dataclass(kw_only=True)
class TaskMixtureConfig:
    """What a batch is made of.

    Paper: section 3.1: 4 speech-only, 8 text-only, 1 AST, 1 ASR and 1 MT example per device; languages of text-only
    data are sampled with T = 3, those of MT pairs with T = 2. Section A gives no temperature for speech.
    Choice: 1 for all other tasks.

    Attributes:
        shares: task -> examples per device and micro-batch; a task that is not named is not trained.
        temperatures: task -> T of `p ~ n ** (1 / T)` over its languages (over pairs for mt); those not named keep
            the defaults: 3 for text, 2 for mt, 1 for the others.
        corpus_weights: task -> corpus -> how often the corpus is gone through per epoch of the task, default 1.
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

    def mixture_config(self, task: str) -> MixtureConfig:
        """Weights and temperature of one task, as the mixture of its groups takes them."""
        temperature = self.temperature(task)
        return MixtureConfig(
            corpus_weights=dict(self.corpus_weights.get(task, {})),
            speech_temperature=temperature,
            text_temperature=temperature,
        )

    def to_dict(self) -> dict[str, Any]:
        """All values in one form (numbers as floats, defaults filled in), for a fingerprint."""
        return {
            "shares": {task: self.shares[task] for task in self.tasks},
            "temperatures": {task: self.temperature(task) for task in self.tasks},
            "corpus_weights": {
                task: {corpus: float(weight) for corpus, weight in sorted(self.corpus_weights.get(task, {}).items())}
                for task in self.tasks
            },
            "max_seconds": None if self.max_seconds is None else float(self.max_seconds),
            "max_tokens": self.max_tokens,
        }


class TaskOrder:
    """The endless order in which tasks take turns: a cycle in which each has its share, spread evenly.

    Any stretch as long as a cycle, wherever it starts, has exactly the shares in it; any stretch at all is off by
    less than one cycle, however the stretches before it were cut.

    Args:
        shares: task -> turns per cycle.
    """

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.tasks = [task for task in PRETRAINING_TASKS if shares.get(task, 0) > 0]
        turns = [
            ((turn + 0.5) / shares[task], number)
            for number, task in enumerate(self.tasks)
            for turn in range(shares[task])
        ]
        self.cycle: IntArray = np.asarray([number for _, number in sorted(turns)], dtype=np.int64)
        # (tasks, cycle + 1): turns of each task among the first n of a cycle
        self._before = np.zeros((len(self.tasks), len(self.cycle) + 1), dtype=np.int64)
        for number in range(len(self.tasks)):
            self._before[number, 1:] = np.cumsum(self.cycle == number)

    def __len__(self) -> int:
        return len(self.cycle)

    def turns(self, first: int, count: int) -> IntArray:
        """`(count,)` numbers of the tasks (positions in `tasks`) whose turns are first, first + 1, ..."""
        return self.cycle[(first + np.arange(count)) % len(self.cycle)]

    def num_before(self, first: int) -> dict[str, int]:
        """Task -> turns it had before turn `first`."""
        cycles, rest = divmod(first, len(self.cycle))
        return {
            task: cycles * int(self._before[number, -1]) + int(self._before[number, rest])
            for number, task in enumerate(self.tasks)
        }


def deal_evenly(sizes: FloatArray, kinds: IntArray, num_slots: int) -> IntArray:
    """Deal examples to slots so that all have as many of each kind, as far as the numbers allow, and equal sums.

    Kind by kind, the largest example goes to the slot that has least, and empty slots come before all others. So up
    to `num_slots` examples of all kinds lie one in each slot. What "least" means is weighed by what the examples of
    the kind have: speech goes where there are few seconds, text where there are few tokens.

    Choice: seconds and tokens are evened out each for itself, not their sum, because each may have a budget.

    Args:
        sizes: `(n, m)`: m sizes of each example, 0 or more.
        kinds: `(n,)` numbers of the kinds.
        num_slots: how many slots.

    Returns:
        `(n,)` number of the slot of each example; a function of the arguments alone.
    """
    sizes = sizes / np.maximum(sizes.mean(axis=0), 1e-9)
    slots = np.zeros(len(sizes), dtype=np.int64)
    load = np.zeros((num_slots, sizes.shape[1]))
    taken = np.zeros(num_slots, dtype=bool)
    present = np.unique(kinds)
    usage = np.stack([sizes[kinds == kind].mean(axis=0) for kind in present])
    # What has several sizes first, the single ones even out the rest; of equal ones the larger first.
    order = np.lexsort((-usage.max(axis=1), -(usage > 0).sum(axis=1)))
    for kind, weights in zip(present[order], usage[order], strict=True):
        members = np.flatnonzero(kinds == kind)
        members = members[np.argsort(-(sizes[members] @ weights), kind="stable")]
        for start in range(0, len(members), num_slots):
            round_members = members[start : start + num_slots]
            takers = np.lexsort((load @ weights, taken))[: len(round_members)]
            slots[round_members] = takers
            load[takers] += sizes[round_members]
            taken[takers] = True
    return slots
