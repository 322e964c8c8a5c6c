# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batches of one size over a table in random order, epoch after epoch."""

from collections.abc import Sequence
from typing import Any

import torch

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler


class ShuffledBatchSampler(ResumableBatchSampler):
    """Every position of a table once in an epoch, in an order of its own.

    Order and batches are those of transformers' Trainer, which uses accelerate's `SeedableRandomSampler` and
    `BatchSamplerShard`: a permutation by a `torch.Generator` with the seed of the run plus the number of the epoch; on
    several processes an epoch is filled up from its beginning, so that each has as many full batches. The last update
    of an epoch takes what is left, in batches of the usual size or, where some micro-batch would get nothing, in equal
    parts.

    Args:
        examples: the table; keys are positions in it.
        batch_size: examples of a micro-batch.
        positions: those that are drawn, one as often as it is named here; None for all of them once.
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
        """The share of this micro-batch in the current update."""
        order, size = self._order_of_epoch(), self.batch_size * self.num_slots
        places = order[self.position : self.position + size]
        # With more micro-batches than examples, some are repeated.
        places += [order[place % len(order)] for place in range(self.num_slots - len(places))]
        bounds = (self.slot, self.slot + 1)
        if len(places) > self.batch_size * (self.num_slots - 1):
            first, last = (self.batch_size * slot for slot in bounds)
        else:
            first, last = (len(places) * slot // self.num_slots for slot in bounds)
        return [DrawKey(self.positions[place], self.epoch) for place in places[first:last]]

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
        """Places among the positions, in the order of the current epoch."""
        if self._order[0] != self.epoch:
            number = len(self.positions)
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(number, generator=generator).tolist()
            missing = -number % (self.batch_size * self.num_ranks) if self.num_ranks > 1 else 0
            self._order = (self.epoch, order + [order[place % number] for place in range(missing)])
        return self._order[1]
