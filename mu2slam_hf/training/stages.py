# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A curriculum in one run: stages with their own mixture and augmentation, switched at a given update.

The stage travels with every key, so loader workers need no shared state and a resumed run switches at the same batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mu2slam_hf.data.counter_seeds import DrawKey
from mu2slam_hf.data.dataset import MultitaskDataset, MultitaskItem
from mu2slam_hf.data.sampling import BucketedBatchSampler


class StageKey(NamedTuple):
    """Key of a draw and the stage that it belongs to."""

    stage: int
    key: DrawKey


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a run.

    Attributes:
        name: for logs.
        num_steps: updates.
        sampler: plans of its epochs; its costs must be those of `dataset`.
        dataset: examples with the stage's waveform augmentation, and a seed of its own: no stage repeats the random
            draws of another.
        collator: items to a batch, with the stage's masks.
        loss_weights: coefficients of the named losses in this stage; None for those of the trainer.
    """

    name: str
    num_steps: int
    sampler: BucketedBatchSampler
    dataset: MultitaskDataset
    collator: Callable[[Sequence[MultitaskItem]], dict[str, Any]]
    loss_weights: Mapping[str, float] | None = None


class StagedBatchSampler:
    """Batches of this rank, stage after stage; the last stage goes on for ever.

    One update takes one step of a stage's plan: `num_ranks * batches_per_step` batches of one modality and about one
    length. Who computes which of them does not change what they are: one process with two micro-batches sees the same
    updates as two processes with one, and a run may be resumed on another number of processes with that product.

    Args:
        stages: in order; their samplers plan steps of `num_ranks * batches_per_step` batches.
        rank: rank of this process.
        num_ranks: number of processes.
        batches_per_step: micro-batches of one update in each process.
    """

    def __init__(
        self, stages: Sequence[Stage], *, rank: int = 0, num_ranks: int = 1, batches_per_step: int = 1
    ) -> None:
        if not stages:
            raise ValueError("A run needs at least one stage.")
        planned = {stage.sampler.num_ranks for stage in stages}
        if planned != {num_ranks * batches_per_step}:
            raise ValueError(
                f"The stages plan steps of {sorted(planned)} batches, but {num_ranks} processes with "
                f"{batches_per_step} micro-batches each need {num_ranks * batches_per_step}."
            )
        self.stages = list(stages)
        self.rank, self.batches_per_step = rank, batches_per_step
        self.num_steps = 0
        self.stage = 0
        self.steps_in_stage = 0
        self.epoch = 0
        self.position = 0
        self.micro_batch = 0
        self._fingerprints: dict[int, str] = {}

    def __iter__(self) -> Iterator[list[StageKey]]:
        while True:
            self._skip_finished_stages()
            plan = self.stages[self.stage].sampler.plan(self.epoch)
            if not plan:
                raise ValueError(f"Stage {self.stages[self.stage].name!r} has no batch; check corpora and weights.")
            if self.position >= len(plan):
                self.epoch, self.position = self.epoch + 1, 0
                continue
            draws = plan[self.position][self.rank * self.batches_per_step + self.micro_batch]
            batch = [StageKey(self.stage, key._replace(step=self.num_steps)) for key in draws]
            self.micro_batch += 1
            if self.micro_batch == self.batches_per_step:
                self.micro_batch = 0
                self.position += 1
                self.num_steps += 1
                self.steps_in_stage += 1
            yield batch

    def _skip_finished_stages(self) -> None:
        last = len(self.stages) - 1
        while self.stage < last and self.steps_in_stage >= self.stages[self.stage].num_steps:
            self.stage, self.steps_in_stage, self.epoch, self.position = self.stage + 1, 0, 0, 0

    def _fingerprint(self, stage: int) -> str:
        """Kept, because the state is taken at every batch and the hash reads all examples."""
        if stage not in self._fingerprints:
            self._fingerprints[stage] = self.stages[stage].sampler.fingerprint()
        return self._fingerprints[stage]

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands; equal on every rank."""
        return {
            "num_steps": self.num_steps,
            "stage": self.stage,
            "steps_in_stage": self.steps_in_stage,
            "epoch": self.epoch,
            "position": self.position,
            "micro_batch": self.micro_batch,
            "fingerprint": self._fingerprint(self.stage),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the one at which `state` was taken.

        Raises:
            ValueError: if the stage is not there, or its data, weights, limits, seed or batches per update differ.
        """
        stage = int(state["stage"])
        if stage >= len(self.stages):
            raise ValueError(f"The checkpoint stands in stage {stage + 1}, but the recipe has {len(self.stages)}.")
        if state["fingerprint"] != self._fingerprint(stage):
            raise ValueError(
                f"Cannot resume in stage {self.stages[stage].name!r}: its examples, weights, batch limits, seed or "
                "number of batches in an update (processes times accumulation steps) differ from those of the "
                "checkpoint. Use the same ones, or start a new run with model.init_from set to the checkpoint."
            )
        self.stage = stage
        self.num_steps, self.steps_in_stage = int(state["num_steps"]), int(state["steps_in_stage"])
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self.micro_batch = int(state["micro_batch"])


class StagedDataset:
    """The data sets of all stages behind one `__getitem__`; examples and decoded audio are shared by the caller."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.datasets = [stage.dataset for stage in stages]
        # One count of unreadable recordings for the whole run.
        for dataset in self.datasets[1:]:
            dataset.failures = self.datasets[0].failures

    def __getitem__(self, key: StageKey) -> tuple[int, MultitaskItem]:
        return key.stage, self.datasets[key.stage][key.key]


class StagedCollator:
    """Hands the items of a batch to the collator of their stage.

    It adds `record_ids` for error messages, and `loss_weights` where the stage has its own.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.collators = [stage.collator for stage in stages]
        self.loss_weights = [stage.loss_weights for stage in stages]

    def __call__(self, items: Sequence[tuple[int, MultitaskItem]]) -> dict[str, Any]:
        """Collate items of one stage."""
        stage = items[0][0]
        batch = self.collators[stage]([item for _, item in items])
        if self.loss_weights[stage] is not None:
            batch["loss_weights"] = dict(self.loss_weights[stage] or {})
        batch["record_ids"] = [item.drawn.example.id for _, item in items]
        return batch
