# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plans of epochs: batches bounded by padded seconds and tokens, bucketed by length, the same for every rank count."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mu2slam_hf.data.examples.batch_limits import BatchLimits, ExampleCost
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.sampling.mixture import FloatArray, Mixture


class BucketedPlan:
    """Assignment of the draws of a mixture to batches, epoch by epoch; each batch has one source modality.

    The plan of an epoch is a function of (seed, epoch, number of slots) only. It consists of steps of `num_slots`
    batches of one modality and of about one length; each draw of the mixture is in exactly one batch.

    Args:
        mixture: mixture with the draws of an epoch.
        cost_of: `DrawKey -> ExampleCost`; lengths after length-changing augmentation.
        limits: bounds on a batch.
        seed: seed of the run.
        num_slots: batches of one step: processes times accumulation steps.
        length_noise: lengths are multiplied by `exp(u)`, u uniform in +-noise, before sorting, so that neighbours
            change from epoch to epoch. 0 gives the least padding.
        shuffle: whether to shuffle; False for evaluation: batches in order of length.
        text_batch_share: share of text batches among all batches; None for one pass over all text per epoch.

    Raises:
        ValueError: `text_batch_share` is not in [0, 1).
    """

    def __init__(
        self,
        mixture: Mixture,
        cost_of: Callable[[DrawKey], ExampleCost],
        limits: BatchLimits | None = None,
        *,
        seed: int = 0,
        num_slots: int = 1,
        length_noise: float = 0.1,
        shuffle: bool = True,
        text_batch_share: float | None = None,
    ) -> None:
        if text_batch_share is not None and not 0 <= text_batch_share < 1:
            raise ValueError(f"`text_batch_share` must be in [0, 1), got {text_batch_share}")
        self.mixture, self.cost_of, self.limits = mixture, cost_of, limits or BatchLimits()
        self.seed, self.num_slots, self.length_noise, self.shuffle = seed, num_slots, length_noise, shuffle
        self._plans: dict[int, list[list[list[DrawKey]]]] = {}
        if text_batch_share is not None and mixture.modalities == ["speech", "text"]:
            num_speech, num_text = (len(self._steps(modality, 0)) for modality in ("speech", "text"))
            mixture.scales["text"] = num_speech * text_batch_share / (1.0 - text_batch_share) / num_text

    def fingerprint_parts(self) -> dict[str, Any]:
        """Settings that the plan depends on: name -> value; a sample of the lengths."""
        quotas = [(group, quota, self.mixture.groups[group]) for group, quota in sorted(self.mixture.quotas().items())]
        keys = [key for keys in self.mixture.epoch_keys(0).values() for key in keys[:: max(1, len(keys) // 256)]]
        return {
            "seed": self.seed,
            "batch limits": (self.limits, self.length_noise, self.shuffle),
            "corpora and their weights": quotas,
            "examples": [(key, self.cost_of(key)) for key in keys],
        }

    def plan(self, epoch: int) -> list[list[list[DrawKey]]]:
        """`plan[position][slot]` is a batch; computed once and kept for the latest epoch."""
        if epoch not in self._plans:
            steps = [step for modality in self.mixture.modalities for step in self._steps(modality, epoch)]
            if self.shuffle:
                order = counter_generator(self.seed, "order", epoch).permutation(len(steps))
                steps = [steps[position] for position in order]
            self._plans = {epoch: steps}
        return self._plans[epoch]

    def _steps(self, modality: str, epoch: int) -> list[list[list[DrawKey]]]:
        keys = self.mixture.epoch_keys(epoch)[modality]
        if not keys:
            return []
        costs = [self.cost_of(key) for key in keys]
        for key, cost in zip(keys, costs, strict=True):
            if not self.limits.hold(cost, 1):
                raise ValueError(f"example {key.example} alone ({cost}) exceeds the limits of a batch ({self.limits})")
        lengths = np.asarray(
            [[cost.seconds, cost.source_tokens, cost.target_tokens] for cost in costs], dtype=np.float64
        )
        order = self._length_order(lengths, epoch, modality)
        batches = self._split_evenly(self._fill([(keys[index], costs[index]) for index in order]))
        return [batches[first : first + self.num_slots] for first in range(0, len(batches), self.num_slots)]

    def _length_order(self, lengths: FloatArray, epoch: int, modality: str) -> list[int]:
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
        """Batches whose number is a multiple of the slots: the fullest ones are cut in two."""
        while len(batches) % self.num_slots:
            fullest = max(range(len(batches)), key=lambda place: len(batches[place]))
            batch = batches[fullest]
            if len(batch) < 2:
                raise ValueError(
                    f"{len(batches)} examples of one modality cannot be shared by {self.num_slots} batches of an "
                    "update; use fewer processes or accumulation steps, or more data"
                )
            batches[fullest : fullest + 1] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return batches
