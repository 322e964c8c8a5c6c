# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Paired differences over seeds: interval and verdict in closed form."""

import math

import pytest

pytest.importorskip("scipy", reason="needs the extra lab")

from lab.studies.seed_comparison import compare_seeds, student_interval


def test_the_interval_is_students():
    # Differences of -3, -4, -2: mean -3, standard deviation 1; t with two degrees of freedom, whose quantiles have a
    # closed form, has 0.975 at 4.3027.
    found = compare_seeds({1: 10.0, 2: 12.0, 3: 14.0}, {3: 12.0, 1: 7.0, 2: 8.0}, lower_is_better=True)
    quantile = 0.95 * math.sqrt(2 / (1 - 0.95**2))
    assert quantile == pytest.approx(4.3027, abs=5e-5)
    margin = quantile / math.sqrt(3)
    assert found.difference == pytest.approx(-3.0) and (found.num_better, found.num_seeds) == (3, 3)
    assert (found.interval_low, found.interval_high) == pytest.approx((-3 - margin, -3 + margin))
    # Of two values the quantile is that of Cauchy's distribution, tan(0.475 pi).
    low, high = student_interval([1.0, 3.0])
    assert (low, high) == pytest.approx((2 - math.tan(0.475 * math.pi), 2 + math.tan(0.475 * math.pi)), rel=1e-9)
    # With many, it approaches the normal distribution from above.
    low, high = student_interval([0.0, 1.0] * 50)
    assert 1.96 < (high - 0.5) / (math.sqrt(25 / 99) / 10) < 2.05
    assert student_interval([5.0]) == (None, None)


@pytest.mark.parametrize(
    "values, lower_is_better, expected, verdict",
    [
        ([7.0, 8.0, 12.0], True, "better", "same sign"),
        ([7.0, 8.0, 12.0], True, "worse", "opposite"),
        ([7.0, 8.0, 12.0], False, "worse", "same sign"),
        ([7.0, 8.0, 12.0], False, None, "worse"),
        ([13.0, 16.0, 16.0], True, "worse", "same sign"),
        ([13.0, 16.0, 16.0], False, None, "better"),
        # All seeds agree, but -1, -4, -1 has the interval -2 +- 4.3.
        ([9.0, 8.0, 13.0], True, "better", "no effect"),
        ([10.0, 12.0, 14.0], True, "better", "no effect"),
    ],
)
def test_the_verdict_follows_the_interval_and_what_was_expected(values, lower_is_better, expected, verdict):
    reference = {1: 10.0, 2: 12.0, 3: 14.0}
    found = compare_seeds(reference, dict(zip((1, 2, 3), values, strict=True)), lower_is_better=lower_is_better)
    assert found.verdict(expected) == verdict


def test_only_seeds_that_both_have_are_compared():
    found = compare_seeds({1: 10.0, 2: 12.0}, {2: 11.0, 3: 0.0}, lower_is_better=True)
    assert (found.difference, found.num_seeds, found.num_better) == (-1.0, 1, 1)
    assert found.verdict("better") == "too few seeds"
    assert compare_seeds({1: 10.0}, {2: 11.0}, lower_is_better=True) is None
