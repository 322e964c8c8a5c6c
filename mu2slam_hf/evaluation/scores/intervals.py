# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Confidence intervals: by a bootstrap of utterances, with the paired test of two systems, and of shares by Wilson.

Draws, bounds and p-values of the bootstrap are those of sacreBLEU (`--confidence`, `--paired-bs`) with the same seed.
Its own functions are not called, because they take seed 0 for no seed, keep all resamples in memory at once, and do
not return the resampled scores, of which means over languages are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Settings of a bootstrap.

    Attributes:
        num_samples: number of resamples of the corpus.
        seed: seed of the draws. Corpora with the same number of utterances have the same draws.

    Raises:
        ValueError: fewer than 40 resamples, which do not have the bounds of a 95 % interval, or a negative seed.
    """

    num_samples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 40:
            raise ValueError(f"a bootstrap needs at least 40 resamples, got {self.num_samples}; 1000 are usual")
        if self.seed < 0:
            raise ValueError(f"the seed of a bootstrap must not be negative, got {self.seed}")

    def resample(self, statistics: Sequence[Sequence[float]], score: Callable[[Any], float]) -> FloatArray:
        """The scores of all resamples.

        Args:
            statistics: `(utterances, statistics)`, statistics that can be summed over utterances.
            score: the score of a corpus from the sums `(statistics,)`.

        Returns:
            `(num_samples,)`; nan where a resample has no score, such as a WER without reference words.
        """
        table = np.asarray(statistics, dtype=np.float64)
        rng = np.random.default_rng(self.seed)
        scores = np.empty(self.num_samples)
        for sample in range(self.num_samples):
            counts = np.bincount(rng.choice(len(table), size=len(table), replace=True), minlength=len(table))
            scores[sample] = score(counts @ table)
        return scores


def percentile_interval(scores: FloatArray) -> tuple[float, float]:
    """Bounds of the 95 % interval of resampled scores: a fortieth of them lies outside on each side.

    Args:
        scores: `(num_samples,)`; nan is left out.
    """
    ordered = np.sort(scores[~np.isnan(scores)])
    outside = len(ordered) // 40
    return float(ordered[outside]), float(ordered[len(ordered) - outside - 1])


def paired_p_value(differences: FloatArray, observed: float) -> float:
    """Probability of a difference like the observed one if the two systems were equal, as sacreBLEU estimates it.

    Choice: 1 for systems without any difference, for which sacreBLEU's estimate is the smallest that is possible.

    Args:
        differences: `(num_samples,)`, differences of the two systems' scores on the same resamples.
        observed: difference on the whole corpus.
    """
    sizes = np.abs(differences[~np.isnan(differences)])
    if not sizes.any():
        return 1.0
    return (int(np.sum(sizes - sizes.mean() > abs(observed))) + 1) / (len(sizes) + 1)


def wilson_interval(num_right: int, num_items: int) -> tuple[float, float]:
    """Bounds in percent of the 95 % confidence interval of a share (Wilson's score interval; items independent).

    Raises:
        ValueError: not `0 <= num_right <= num_items`, or no items.
    """
    if not 0 <= num_right <= num_items or num_items < 1:
        raise ValueError(f"expected 0 <= num_right <= num_items and at least one item, got {num_right}, {num_items}")
    share, weight = num_right / num_items, _NORMAL_95**2 / num_items
    centre = share + weight / 2
    margin = _NORMAL_95 * sqrt(share * (1 - share) / num_items + weight / (4 * num_items))
    low, high = (centre - margin) / (1 + weight), (centre + margin) / (1 + weight)
    return 100.0 * max(0.0, low), 100.0 * min(1.0, high)
