# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batches bounded by padded seconds and tokens, bucketed by length, the same for every rank count, resumable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from math import ceil
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from mu2slam_hf.data.examples.batch_limits import BatchLimits, ExampleCost
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.sampling.mixture import Mixture


class BucketedBatchSampler(Sampler[list[DrawKey]]):
    """A `batch_sampler` for `torch.utils.data.DataLoader`: each batch a list of `DrawKey` of one source modality.

    The plan of an epoch is a function of (seed, epoch, number of ranks) alone. It is made of steps of `num_ranks`
    batches of one modality and of about one length, one for each rank; all ranks have the same number of batches, and
    each draw of the mixture is in exactly one of them.

    Args:
        mixture: what an epoch holds.
        cost_of: `DrawKey -> ExampleCost`; lengths after length-changing augmentation.
        limits: bounds on a batch.
        seed: seed of the run.
        rank: rank of this process.
        num_ranks: number of processes.
        batches_per_step: gradient accumulation; keys carry the optimizer step for curricula.
        length_noise: lengths are multiplied by `exp(u)`, u uniform in +-noise, before sorting: neighbours change from
            epoch to epoch. 0 gives the least padding.
        shuffle: False for evaluation: batches in order of length.
    """

    def __init__(
        self,
        mixture: Mixture,
        cost_of: Callable[[DrawKey], ExampleCost],
        limits: BatchLimits | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        batches_per_step: int = 1,
        length_noise: float = 0.1,
        shuffle: bool = True,
    ) -> None:
        if not 0 <= rank < num_ranks:
            raise ValueError(f"`rank` must lie in [0, {num_ranks}), got {rank}")
        if batches_per_step < 1:
            raise ValueError(f"`batches_per_step` must be at least 1, got {batches_per_step}")
        self.mixture, self.cost_of, self.limits = mixture, cost_of, limits or BatchLimits()
        self.seed, self.rank, self.num_ranks = seed, rank, num_ranks
        self.batches_per_step, self.length_noise, self.shuffle = batches_per_step, length_noise, shuffle
        self.epoch = 0
        self._start = 0
        self._position = 0
        self._plans: dict[int, list[list[list[DrawKey]]]] = {}
        self._lengths: dict[int, int] = {}
        self._fingerprint: str | None = None
        self._scale_text()

    def __len__(self) -> int:
        """Batches of this rank in the present epoch, from its beginning."""
        return self.num_batches(self.epoch)

    def __iter__(self) -> Iterator[list[DrawKey]]:
        """Batches of this rank from the place where `load_state_dict` put it, else from the beginning."""
        start, self._start = self._start, 0
        self._position = start
        plan = self.plan(self.epoch)
        steps_before = self.steps_before(self.epoch)
        for position in range(start, len(plan)):
            self._position = position + 1
            step = steps_before + position // self.batches_per_step
            yield [key._replace(step=step) for key in plan[position][self.rank]]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the place within it is kept only when the epoch stays the same."""
        if epoch < 0:
            raise ValueError(f"`epoch` must not be negative, got {epoch}")
        if epoch != self.epoch:
            self.epoch, self._start, self._position = epoch, 0, 0

    def state_dict(self, batches_consumed: int | None = None) -> dict[str, Any]:
        """Where the sampler stands.

        Args:
            batches_consumed: batches of this epoch that training has really used. Loader processes prefetch, so with
                them the sampler alone does not know; default: the batches it has handed out.
        """
        return {
            "epoch": self.epoch,
            "batch": self._position if batches_consumed is None else batches_consumed,
            "fingerprint": self.fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next iteration starts with the next batch.

        Raises:
            ValueError: the data, the limits, the seed or the number of processes are not those of the state.
        """
        if state["fingerprint"] != self.fingerprint():
            raise ValueError(
                "cannot resume in the middle of an epoch: examples, weights, limits, seed or number of processes "
                "differ from those of the checkpoint; use the same ones, or start the epoch anew with `set_epoch`"
            )
        self.epoch = int(state["epoch"])
        self._start = self._position = int(state["batch"])
        if not 0 <= self._start <= len(self):
            raise ValueError(f"the state names batch {self._start} of an epoch of {len(self)}")

    def fingerprint(self) -> str:
        """Hash of everything that the plan hangs on; of the lengths, a sample."""
        if self._fingerprint is not None:
            return self._fingerprint
        hashed = blake2b(digest_size=8)
        for part in (self.seed, self.num_ranks, self.batches_per_step, self.length_noise, self.shuffle, self.limits):
            hashed.update(repr(part).encode())
        for group, quota in sorted(self.mixture.quotas().items()):
            hashed.update(repr((group, quota, self.mixture.groups[group])).encode())
        for keys in self.mixture.epoch_keys(0).values():
            for key in keys[:: max(1, len(keys) // 256)]:
                hashed.update(repr((key, self.cost_of(key))).encode())
        self._fingerprint = hashed.hexdigest()
        return self._fingerprint

    def num_batches(self, epoch: int) -> int:
        """Batches of each rank in an epoch."""
        if epoch not in self._lengths:
            self._lengths[epoch] = len(self.plan(epoch))
        return self._lengths[epoch]

    def steps_before(self, epoch: int) -> int:
        """Optimizer steps of all epochs before this one; the last step of an epoch may have fewer batches."""
        return sum(ceil(self.num_batches(earlier) / self.batches_per_step) for earlier in range(epoch))

    def plan(self, epoch: int) -> list[list[list[DrawKey]]]:
        """`plan[position][rank]` is a batch; computed once and kept for the latest epoch."""
        if epoch not in self._plans:
            steps = [step for modality in self.mixture.modalities for step in self._steps(modality, epoch)]
            if self.shuffle:
                order = counter_generator(self.seed, "order", epoch).permutation(len(steps))
                steps = [steps[position] for position in order]
            self._plans = {epoch: steps}
            self._lengths[epoch] = len(steps)
        return self._plans[epoch]

    def padding_ratio(self, epoch: int = 0) -> float:
        """Share of padding in the sources of an epoch, for reports."""
        used = padded = 0.0
        for step in self.plan(epoch):
            for batch in step:
                sizes = [max(cost.seconds, cost.source_tokens) for cost in map(self.cost_of, batch)]
                used, padded = used + sum(sizes), padded + max(sizes) * len(sizes)
        return 1.0 - used / padded if padded else 0.0

    def _scale_text(self) -> None:
        """Set how much text an epoch takes so that its share of batches is as configured."""
        share = self.mixture.config.text_batch_share
        if share is None or self.mixture.modalities != ["speech", "text"]:
            return
        num_speech, num_text = (len(self._steps(modality, 0)) for modality in ("speech", "text"))
        self.mixture.scales["text"] = num_speech * float(share) / (1.0 - float(share)) / num_text

    def _steps(self, modality: str, epoch: int) -> list[list[list[DrawKey]]]:
        keys = self.mixture.epoch_keys(epoch)[modality]
        if not keys:
            return []
        costs = [self.cost_of(key) for key in keys]
        for key, cost in zip(keys, costs, strict=True):
            if not self.limits.hold(cost, 1):
                raise ValueError(
                    f"example {key.example} alone ({cost}) is beyond the limits of a batch ({self.limits})"
                )
        lengths = np.asarray(
            [[cost.seconds, cost.source_tokens, cost.target_tokens] for cost in costs], dtype=np.float64
        )
        order = self._length_order(lengths, epoch, modality)
        batches = self._split_evenly(self._fill([(keys[place], costs[place]) for place in order]))
        return [batches[first : first + self.num_ranks] for first in range(0, len(batches), self.num_ranks)]

    def _length_order(self, lengths: "np.ndarray[Any, Any]", epoch: int, modality: str) -> list[int]:
        size = lengths[:, 0] + lengths[:, 1] + 1e-3 * lengths[:, 2]
        generator = counter_generator(self.seed, "lengths", epoch, modality)
        ties = generator.permutation(len(size)) if self.shuffle else np.arange(len(size))
        if self.shuffle:
            size = size * np.exp(generator.uniform(-self.length_noise, self.length_noise, len(size)))
        return [int(place) for place in np.lexsort((ties, size))]

    def _fill(self, draws: Sequence[tuple[DrawKey, ExampleCost]]) -> list[list[DrawKey]]:
        batches: list[list[DrawKey]] = [[]]
        longest = ExampleCost()
        for key, cost in draws:
            together = ExampleCost(
                seconds=max(longest.seconds, cost.seconds),
                source_tokens=max(longest.source_tokens, cost.source_tokens),
                target_tokens=max(longest.target_tokens, cost.target_tokens),
            )
            if batches[-1] and not self.limits.hold(together, len(batches[-1]) + 1):
                batches.append([])
                together = cost
            batches[-1].append(key)
            longest = together
        return batches

    def _split_evenly(self, batches: list[list[DrawKey]]) -> list[list[DrawKey]]:
        """Batches whose number is a multiple of the ranks: the fullest ones are cut in two."""
        while len(batches) % self.num_ranks:
            fullest = max(range(len(batches)), key=lambda place: len(batches[place]))
            batch = batches[fullest]
            if len(batch) < 2:
                raise ValueError(
                    f"{len(batches)} examples of one modality cannot be shared by {self.num_ranks} processes; "
                    "use fewer processes or more data"
                )
            batches[fullest : fullest + 1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return batches
