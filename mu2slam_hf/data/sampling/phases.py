# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A curriculum in one run: phases with their own mixture and augmentation, switched at a given update.

The phase travels with every key, so loader workers need no shared state and a resumed run switches at the same batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.data.examples.dataset import ExampleDataset, Item
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.bucketed import BucketedBatchSampler
from mu2slam_hf.training.decoder_noise import DecoderNoiseConfig


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of a run.

    Attributes:
        name: for logs.
        num_steps: updates.
        sampler: plans of its epochs; its costs must be those of `dataset`.
        dataset: examples with the phase's waveform augmentation, and a seed of its own: no phase repeats the random
            draws of another.
        collator: items to a batch, with the phase's masks.
        loss_weights: coefficients of the named losses in this phase; None for those of the trainer.
        decoder_noise: noise on the decoder inputs of this phase; None for that of the trainer.
    """

    name: str
    num_steps: int
    sampler: BucketedBatchSampler
    dataset: ExampleDataset
    collator: Callable[[Sequence[Item]], dict[str, Any]]
    loss_weights: Mapping[str, float] | None = None
    decoder_noise: DecoderNoiseConfig | None = None


class PhasedBatchSampler:
    """Batches of this rank, phase after phase; the last phase goes on for ever.

    One update takes one step of a phase's plan: `num_ranks * batches_per_step` batches of one modality and about one
    length. Who computes which of them does not change what they are: one process with two micro-batches sees the same
    updates as two processes with one, and a run may be resumed on another number of processes with that product.

    Args:
        phases: in order; their samplers plan steps of `num_ranks * batches_per_step` batches.
        rank: rank of this process.
        num_ranks: number of processes.
        batches_per_step: micro-batches of one update in each process.
    """

    def __init__(
        self, phases: Sequence[Phase], *, rank: int = 0, num_ranks: int = 1, batches_per_step: int = 1
    ) -> None:
        if not phases:
            raise ValueError("A run needs at least one phase.")
        planned = {phase.sampler.num_ranks for phase in phases}
        if planned != {num_ranks * batches_per_step}:
            raise ValueError(
                f"The phases plan steps of {sorted(planned)} batches, but {num_ranks} processes with "
                f"{batches_per_step} micro-batches each need {num_ranks * batches_per_step}."
            )
        self.phases = list(phases)
        self.rank, self.batches_per_step = rank, batches_per_step
        self.num_steps = 0
        self.phase = 0
        self.steps_in_phase = 0
        self.epoch = 0
        self.position = 0
        self.micro_batch = 0
        self._fingerprints: dict[int, str] = {}

    def __iter__(self) -> Iterator[list[DrawKey]]:
        while True:
            self._skip_finished_phases()
            plan = self.phases[self.phase].sampler.plan(self.epoch)
            if not plan:
                raise ValueError(f"Phase {self.phases[self.phase].name!r} has no batch; check corpora and weights.")
            if self.position >= len(plan):
                self.epoch, self.position = self.epoch + 1, 0
                continue
            draws = plan[self.position][self.rank * self.batches_per_step + self.micro_batch]
            batch = [key._replace(step=self.num_steps, phase=self.phase) for key in draws]
            self.micro_batch += 1
            if self.micro_batch == self.batches_per_step:
                self.micro_batch = 0
                self.position += 1
                self.num_steps += 1
                self.steps_in_phase += 1
            yield batch

    def _skip_finished_phases(self) -> None:
        last = len(self.phases) - 1
        while self.phase < last and self.steps_in_phase >= self.phases[self.phase].num_steps:
            self.phase, self.steps_in_phase, self.epoch, self.position = self.phase + 1, 0, 0, 0

    def _fingerprint(self, phase: int) -> str:
        """Kept, because the state is taken at every batch and the hash reads all examples."""
        if phase not in self._fingerprints:
            self._fingerprints[phase] = self.phases[phase].sampler.fingerprint()
        return self._fingerprints[phase]

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands; equal on every rank."""
        return {
            "num_steps": self.num_steps,
            "phase": self.phase,
            "steps_in_phase": self.steps_in_phase,
            "epoch": self.epoch,
            "position": self.position,
            "micro_batch": self.micro_batch,
            "fingerprint": self._fingerprint(self.phase),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the one at which `state` was taken.

        Raises:
            ValueError: if the phase is not there, or its data, weights, limits, seed or batches per update differ.
        """
        phase = int(state["phase"])
        if phase >= len(self.phases):
            raise ValueError(f"The checkpoint stands in phase {phase + 1}, but the recipe has {len(self.phases)}.")
        if state["fingerprint"] != self._fingerprint(phase):
            raise ValueError(
                f"Cannot resume in phase {self.phases[phase].name!r}: its examples, weights, batch limits, seed or "
                "number of batches in an update (processes times accumulation steps) differ from those of the "
                "checkpoint. Use the same ones, or start a new run with model.init_from set to the checkpoint."
            )
        self.phase = phase
        self.num_steps = int(state["num_steps"])
        self.steps_in_phase = int(state["steps_in_phase"])
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self.micro_batch = int(state["micro_batch"])


class PhasedDataset:
    """The data sets of all phases behind one `__getitem__`; examples and decoded audio are shared by the caller."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.datasets = [phase.dataset for phase in phases]
        # One count of unreadable recordings for the whole run.
        for dataset in self.datasets[1:]:
            dataset.failures = self.datasets[0].failures

    def __getitem__(self, key: DrawKey) -> Item:
        return self.datasets[key.phase][key]


class PhasedCollator:
    """Hands the items of a batch to the collator of their phase.

    It adds `record_ids` of the rows (recordings that could not be read have none), and `loss_weights` and
    `decoder_noise` where the phase has its own.
    """

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.collators = [phase.collator for phase in phases]
        self.loss_weights = [phase.loss_weights for phase in phases]
        self.decoder_noise = [phase.decoder_noise for phase in phases]

    @property
    def num_ctc_too_long(self) -> int:
        """Transcripts so far that had more tokens than encoder frames, in all phases."""
        return sum(getattr(collator, "num_ctc_too_long", 0) for collator in self.collators)

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Collate items of one phase."""
        phase = items[0].drawn.key.phase
        batch = self.collators[phase](items)
        if self.loss_weights[phase] is not None:
            batch["loss_weights"] = dict(self.loss_weights[phase] or {})
        noise = self.decoder_noise[phase]
        if noise is not None:
            batch["decoder_noise"] = {"ratio": noise.ratio, "k": noise.k}
        batch["record_ids"] = [item.drawn.example.id for item in items if item.error is None]
        return batch
