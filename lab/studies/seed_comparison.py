# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Comparison of two ways of training over the same seeds: paired differences, their interval, and a verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.stats import t as student

Expectation = Literal["better", "worse"]
"""What a hypothesis says of a variant, compared with its reference."""

Verdict = Literal["same sign", "opposite", "no effect", "better", "worse", "too few seeds"]

VERDICT_RULE = (
    "The difference is that of a variant from its reference with the same seed; its interval is Student's 95 % "
    "interval over the seeds. If the interval does not contain 0, the verdict is `same sign` or `opposite`, by the "
    "side that was expected (`better` or `worse` where nothing was expected). If it does, the verdict is `no effect`: "
    "these seeds show none."
)


@dataclass(frozen=True, kw_only=True)
class SeedComparison:
    """Differences of a variant from its reference.

    Attributes:
        difference: mean of the differences, variant minus reference.
        interval_low: lower bound of the 95 % interval of the mean; None with a single seed.
        interval_high: upper bound likewise.
        num_better: number of seeds with which the variant is better.
        num_seeds: number of seeds that both have.
        lower_is_better: whether a lower value is better.
    """

    difference: float
    interval_low: float | None
    interval_high: float | None
    num_better: int
    num_seeds: int
    lower_is_better: bool

    def verdict(self, expected: Expectation | None) -> Verdict:
        """See `VERDICT_RULE`.

        Args:
            expected: what the hypothesis says; None if it says nothing.
        """
        if self.interval_low is None or self.interval_high is None:
            return "too few seeds"
        if self.interval_low <= 0.0 <= self.interval_high:
            return "no effect"
        found: Expectation = "better" if (self.difference < 0.0) == self.lower_is_better else "worse"
        if expected is None:
            return found
        return "same sign" if found == expected else "opposite"


def compare_seeds(
    reference: Mapping[int, float], variant: Mapping[int, float], *, lower_is_better: bool
) -> SeedComparison | None:
    """Compare the values of two ways of training, by seed.

    Args:
        reference: seed -> value.
        variant: likewise.
        lower_is_better: whether a lower value is better.

    Returns:
        The comparison over the seeds that both have; None if there are none.
    """
    shared = sorted(set(reference) & set(variant))
    if not shared:
        return None
    differences = [variant[seed] - reference[seed] for seed in shared]
    low, high = student_interval(differences)
    return SeedComparison(
        difference=fmean(differences),
        interval_low=low,
        interval_high=high,
        num_better=sum(difference != 0.0 and (difference < 0.0) == lower_is_better for difference in differences),
        num_seeds=len(shared),
        lower_is_better=lower_is_better,
    )


def student_interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Bounds of Student's 95 % interval of the mean of independent values; None for a single one."""
    if len(values) < 2:
        return None, None
    margin = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - margin, fmean(values) + margin
