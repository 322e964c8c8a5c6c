# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fixed-size batches over a table in random order."""

from collections.abc import Sequence
from typing import Any

import torch

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler


class ShuffledBatchSampler(ResumableBatchSampler):
    """Fixed-size batches that contain every position of a table once per epoch, in random order.

    Order and batches are those of transformers' Trainer, which uses accelerate's `SeedableRandomSampler` and
    `BatchSamplerShard`: the permutation comes from a `torch.Generator` seeded with the seed of the run plus the number
    of the epoch. On several processes an epoch is padded with its first positions, so that all processes have the same
    number of full batches. The last update of an epoch contains the remaining positions, in batches of the usual size
    or, if a micro-batch would be empty otherwise, split evenly.

    Args:
        examples: the table; keys are positions in it.
        batch_size: number of examples per micro-batch.
        positions: positions to draw; one that is listed n times is drawn n times per epoch. None: all positions once.
        seed: seed of the run.
        kwargs: as in `ResumableBatchSampler`.

    Raises:
        ValueError: a batch size below 1, or nothing to draw.
    """

    kind = "a shuffled table"
    cursor = ("epoch", "position")

    def __init__(
        self,
        examples: Sequence[Example],
        batch_size: int,
        *,
        positions: Sequence[int] | None = None,
        seed: int = 0,
        **kwargs: int,
    ) -> None:
        super().__init__(**kwargs)
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.positions = range(len(examples)) if positions is None else positions
        if batch_size < 1 or not self.positions:
            raise ValueError(
                f"expected a batch size of at least 1 and at least 1 example, got {batch_size} and "
                f"{len(self.positions)}"
            )
        self.epoch = self.position = 0
        self._order: tuple[int, list[int]] = (-1, [])

    def take_batch(self) -> list[DrawKey]:
        """The part of the current update that this micro-batch takes."""
        order, size = self._order_of_epoch(), self.batch_size * self.num_slots
        indices = order[self.position : self.position + size]
        # If there are more micro-batches than examples left, some examples are repeated.
        indices += [order[index % len(order)] for index in range(self.num_slots - len(indices))]
        bounds = (self.slot, self.slot + 1)
        if len(indices) > self.batch_size * (self.num_slots - 1):
            first, last = (self.batch_size * slot for slot in bounds)
        else:
            first, last = (len(indices) * slot // self.num_slots for slot in bounds)
        return [DrawKey(self.positions[index], self.epoch) for index in indices[first:last]]

    def end_step(self) -> None:
        """Advance to the next update, after the last one to the next epoch."""
        self.position += self.batch_size * self.num_slots
        if self.position >= len(self._order_of_epoch()):
            self.epoch, self.position = self.epoch + 1, 0

    def fingerprint_parts(self) -> dict[str, Any]:
        """Seed, batch size and examples."""
        ids = [self.examples[position].id for position in self.positions]
        return {"seed": self.seed, "batch size": self.batch_size, "examples": ids}

    def _order_of_epoch(self) -> list[int]:
        """Indices into `positions`, in the order of the current epoch."""
        if self._order[0] != self.epoch:
            number = len(self.positions)
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(number, generator=generator).tolist()
            missing = -number % (self.batch_size * self.num_ranks) if self.num_ranks > 1 else 0
            self._order = (self.epoch, order + [order[index % number] for index in range(missing)])
        return self._order[1]
