# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A curriculum in one run: phases with their own mixture and augmentation, switched at a given update.

The phase is part of every key, so loader workers need no shared state and a resumed run switches at the same batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.utils.data import Dataset

from mu2slam_hf.data.examples.dataset import ExampleDataset, Item
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.sampling.bucketed import BucketedPlan


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a run.

    Attributes:
        name: name for logs.
        num_steps: number of updates.
        plan: batches of its epochs; its costs must be those of `dataset`.
        dataset: examples with the phase's waveform augmentation, and its own seed, so that phases have different
            random draws.
        collator: collator with the phase's masks.
        batch_extras: entries added to every batch of the phase, for example `loss_weights`, which the objective reads.
    """

    name: str
    num_steps: int
    plan: BucketedPlan
    dataset: ExampleDataset
    collator: Callable[[Sequence[Item]], dict[str, Any]]
    batch_extras: Mapping[str, Any] = field(default_factory=dict)


class PhasedBatchSampler(ResumableBatchSampler):
    """Batches phase after phase; the last phase never ends.

    One update takes one step of a phase's plan: batches of one modality and about one length. They do not depend on
    which process computes which of them: one process with two micro-batches sees the same updates as two processes
    with one.

    Args:
        phases: in order; their plans have steps of `num_ranks * batches_per_step` batches.
        kwargs: as in `ResumableBatchSampler`.

    Raises:
        ValueError: no phase, or plans for another number of batches in an update.
    """

    kind = "phases"
    cursor = ("steps_in_phase", "epoch", "position")

    def __init__(self, phases: Sequence[Phase], **kwargs: int) -> None:
        super().__init__(**kwargs)
        if not phases:
            raise ValueError("expected at least one phase")
        planned = {phase.plan.num_slots for phase in phases}
        if planned != {self.num_slots}:
            raise ValueError(
                f"the phases plan steps of {sorted(planned)} batches, but {self.num_ranks} processes with "
                f"{self.batches_per_step} micro-batches each need {self.num_slots}"
            )
        self.phases = list(phases)
        self.steps_in_phase = self.epoch = self.position = 0

    @property
    def place(self) -> str:
        """The current phase."""
        return f" in phase {self.phases[self.phase].name!r}"

    def take_batch(self) -> list[DrawKey]:
        """The batch of this micro-batch in the current step of the plan.

        Raises:
            ValueError: the phase has no batch.
        """
        while self.phase < len(self.phases) - 1 and self.steps_in_phase >= self.phases[self.phase].num_steps:
            self.phase, self.steps_in_phase, self.epoch, self.position = self.phase + 1, 0, 0, 0
        plan = self.phases[self.phase].plan
        if self.position >= len(plan.plan(self.epoch)):
            self.epoch, self.position = self.epoch + 1, 0
        if not plan.plan(self.epoch):
            raise ValueError(f"phase {self.phases[self.phase].name!r} has no batch; check its corpora and weights")
        return plan.plan(self.epoch)[self.position][self.slot]

    def end_step(self) -> None:
        """Advance to the next step of the plan."""
        self.position += 1
        self.steps_in_phase += 1

    def fingerprint_parts(self) -> dict[str, Any]:
        """Those of the current phase's plan: other phases may change."""
        return self.phases[self.phase].plan.fingerprint_parts()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See the base class.

        Raises:
            ValueError: as in the base class, or the recipe has no such phase.
        """
        if int(state.get("phase", 0)) >= len(self.phases):
            raise ValueError(
                f"Cannot resume: the checkpoint is in phase {state['phase'] + 1}; the recipe has {len(self.phases)}."
            )
        super().load_state_dict(state)


class PhasedDataset(Dataset[Item]):
    """The data sets of all phases, by `DrawKey`; examples and decoded audio are shared by the caller.

    Attributes:
        failures: one count of unreadable recordings for the whole run.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.datasets = [phase.dataset for phase in phases]
        self.failures = self.datasets[0].failures
        for dataset in self.datasets:
            dataset.failures = self.failures

    def __getitem__(self, key: DrawKey) -> Item:
        return self.datasets[key.phase][key]


class PhasedCollator:
    """Calls the collator of the phase of a batch, and adds the phase's `batch_extras`."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases = [(phase.collator, dict(phase.batch_extras)) for phase in phases]

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far that had more tokens than encoder frames, in all phases."""
        return sum(getattr(collator, "num_ctc_too_long", 0) for collator, _ in self.phases)

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of one phase."""
        collator, extras = self.phases[items[0].drawn.key.phase]
        return {**collator(items), **extras}
