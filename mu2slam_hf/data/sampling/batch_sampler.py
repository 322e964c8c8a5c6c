# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The base of all batch samplers: endless, shared by the processes of a run, and resumable at any batch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

from torch.utils.data import Sampler

from mu2slam_hf.data.random_keys import DrawKey


class ResumableBatchSampler(Sampler[list[DrawKey]], ABC):
    """A `batch_sampler` for `torch.utils.data.DataLoader` that never ends and resumes exactly.

    An update consists of `num_ranks * batches_per_step` micro-batches, its slots; process `rank` computes the
    `batches_per_step` slots from `rank * batches_per_step` on. Where the state is equal on all processes, a run may be
    resumed on another number of processes, as long as an update has as many slots.

    Class attributes:
        kind: what the batches are drawn from, for messages.
        cursor: names of the integer attributes of a subclass that are its position.
        state_is_per_rank: whether each process has its own state.
        reads_files: whether drawing a batch reads files.

    Attributes:
        num_steps: number of updates yielded so far.
        micro_batch: number of micro-batches of the current update yielded so far.
        phase: number of the current phase of a curriculum.

    Args:
        rank: rank of this process.
        num_ranks: number of processes.
        batches_per_step: micro-batches of one update in each process (gradient accumulation steps).

    Raises:
        ValueError: `rank` is not in [0, num_ranks), or `batches_per_step` is below 1.
    """

    kind: ClassVar[str]
    cursor: ClassVar[tuple[str, ...]] = ()
    state_is_per_rank: ClassVar[bool] = False
    reads_files: ClassVar[bool] = False

    def __init__(self, *, rank: int = 0, num_ranks: int = 1, batches_per_step: int = 1) -> None:
        if not 0 <= rank < num_ranks:
            raise ValueError(f"`rank` must be in [0, {num_ranks}), got {rank}")
        if batches_per_step < 1:
            raise ValueError(f"`batches_per_step` must be at least 1, got {batches_per_step}")
        self.rank, self.num_ranks, self.batches_per_step = rank, num_ranks, batches_per_step
        self.num_slots = num_ranks * batches_per_step
        self.num_steps = self.micro_batch = self.phase = 0
        self._fingerprints: dict[int, dict[str, int | str]] = {}

    def __iter__(self) -> Iterator[list[DrawKey]]:
        """Batches of this process, from the current state on."""
        while True:
            keys = self.take_batch()
            batch = [key._replace(step=self.num_steps, phase=self.phase) for key in keys]
            self.micro_batch += 1
            if self.micro_batch == self.batches_per_step:
                self.end_step()
                self.micro_batch = 0
                self.num_steps += 1
            yield batch

    @property
    def slot(self) -> int:
        """Number of the current micro-batch among those of the update."""
        return self.rank * self.batches_per_step + self.micro_batch

    @property
    def place(self) -> str:
        """Position of the sampler, for messages."""
        return ""

    @abstractmethod
    def take_batch(self) -> list[DrawKey]:
        """The next micro-batch of this process; steps and phases of the keys are filled in later."""

    def end_step(self) -> None:  # noqa: B027
        """Advance the cursor past the current update."""

    @abstractmethod
    def fingerprint_parts(self) -> dict[str, Any]:
        """Settings that the draws depend on: name for messages -> value, compared by its `repr`."""

    def fingerprint(self) -> dict[str, int | str]:
        """Name of a part -> its value if it is an integer, else a hash; computed once per phase."""
        if self.phase not in self._fingerprints:
            parts = self.fingerprint_parts()
            if not self.state_is_per_rank:
                parts["number of batches in an update (processes times accumulation steps)"] = self.num_slots
            self._fingerprints[self.phase] = {name: _fingerprint(part) for name, part in parts.items()}
        return self._fingerprints[self.phase]

    def state_dict(self) -> dict[str, Any]:
        """Position of the sampler; JSON-serialisable."""
        names = ("num_steps", "micro_batch", "phase", *self.cursor)
        return {
            "kind": self.kind,
            **({"place": [self.rank, self.num_ranks]} if self.state_is_per_rank else {}),
            "batches_per_step": self.batches_per_step,
            "fingerprint": self.fingerprint(),
            **{name: getattr(self, name) for name in names},
        }

    def state_from_ranks(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The state of this process from those of another number of processes; only where each has its own.

        Args:
            states: of all former processes, in their order, taken at the end of an update.
        """
        raise TypeError(f"all processes have the same state in a sampler over {self.kind}")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the one at which `state` was taken.

        Raises:
            ValueError: the state belongs to another kind of sampler, to other data, settings or processes, or to the
                middle of an update that was divided otherwise.
        """
        if state.get("kind") != self.kind:
            raise ValueError(
                f"Cannot resume: this run draws batches from {self.kind}, but the checkpoint's were drawn from "
                f"{state.get('kind', 'something else')}."
            )
        if self.state_is_per_rank and list(state["place"]) != [self.rank, self.num_ranks]:
            rank, num_ranks = state["place"]
            raise ValueError(
                f"Cannot resume: the state is that of process {rank} of {num_ranks}, but this is {self.rank} of "
                f"{self.num_ranks}; give those of all processes to `state_from_ranks`."
            )
        self.phase = int(state["phase"])
        differing = [
            f"{name} ({before} in the checkpoint, now {now})" if isinstance(now, int) else name
            for name, now in self.fingerprint().items()
            if (before := state["fingerprint"].get(name)) != now
        ]
        if differing:
            raise ValueError(
                f"Cannot resume{self.place}: {', '.join(differing)} differ from those of the checkpoint. Use the same "
                "ones, or start a new run with model.init_from set to the checkpoint."
            )
        if int(state["micro_batch"]) and int(state["batches_per_step"]) != self.batches_per_step:
            raise ValueError(
                "Cannot resume in the middle of an update with another number of processes; use "
                f"{state['batches_per_step']} accumulation steps as before, or a checkpoint from the end of an update."
            )
        for name in ("num_steps", "micro_batch", *self.cursor):
            setattr(self, name, int(state[name]))


def _fingerprint(part: Any) -> int | str:
    return part if isinstance(part, int) else blake2b(repr(part).encode(), digest_size=8).hexdigest()
