# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Closed forms of the figures of speech ids, and alignment against trying every path."""

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra lab")

from lab.tokenizers.measures import (
    align_ids,
    compute_bit_rates,
    compute_phone_agreement,
    compute_timed_agreement,
    compute_warped_agreement,
    find_runs,
)


def ids(*values: int) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


def every_path(i, j, n, m):
    if (i, j) == (n - 1, m - 1):
        yield [(i, j)]
        return
    for a, b in ((1, 1), (1, 0), (0, 1)):
        if i + a < n and j + b < m:
            for rest in every_path(i + a, j + b, n, m):
                yield [(i, j), *rest]


@pytest.mark.parametrize("seed", range(12))
def test_alignment_is_the_best_and_shortest_of_all(seed):
    generator = np.random.default_rng(seed)
    first, second = (generator.integers(3, size=int(generator.integers(1, 6))) for _ in range(2))

    def cost(path):
        return sum(first[i] != second[j] for i, j in path), len(path)

    path = align_ids(first, second)
    assert path in list(every_path(0, 0, len(first), len(second)))
    assert cost(path) == min(map(cost, every_path(0, 0, len(first), len(second))))


def test_warped_agreement_of_known_sequences():
    assert compute_warped_agreement(ids(1, 2, 3), ids(1, 1, 2, 2, 2, 3)) == 1.0
    assert compute_warped_agreement(ids(1, 2), ids(3, 4)) == 0.0
    assert compute_warped_agreement(ids(1, 5, 2), ids(1, 6, 2)) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="empty"):
        align_ids(ids(), ids(1))


def test_timed_agreement_of_known_sequences():
    original = ids(0, 0, 1, 1, 2, 2)
    assert compute_timed_agreement(original, original) == 1.0
    assert compute_timed_agreement(original, ids(0, 1, 2), speed=2.0) == 1.0
    assert compute_timed_agreement(original, np.repeat(original, 2), speed=0.5) == 1.0
    assert compute_timed_agreement(original, ids(0, 0, 1, 9, 9, 9)) == 0.5
    # A rounding longer than the original looks at its last id.
    assert compute_timed_agreement(original, ids(0, 0, 1, 1, 2, 2, 2)) == 1.0


def test_phones_that_ids_tell_wholly_half_and_not_at_all():
    def figures(*values, phones=("a", "a", "b", "b")):
        return tuple(compute_phone_agreement(ids(*values), phones).values())

    assert figures(7, 7, 3, 3) == (1.0, 1.0, 1.0, 1.0)
    # Four ids of 2 bits for phones of 1 bit: pure, but each phone is split in two.
    assert figures(0, 1, 2, 3) == (1.0, 0.5, 1.0, pytest.approx(2 / 3))
    assert figures(0, 1, 0, 1) == (0.5, 0.5, 0.0, 0.0)
    assert figures(5, 5, 5, 5) == (0.5, 1.0, 0.0, 0.0)
    # Phones of one bit, flipped in a quarter of the cases: 1 - H(1/4) bits.
    information = pytest.approx(1 - (2 - 0.75 * math.log2(3)))
    assert figures(*[0] * 4, *[1] * 4, phones=list("aaabbbba")) == (0.75, 0.75, information, information)
    with pytest.raises(ValueError, match="one phone per id"):
        compute_phone_agreement(ids(1, 2), ["a"])


def test_runs():
    assert find_runs(ids(4, 4, 1, 4)) == [(4, 2), (1, 1), (4, 1)]
    assert find_runs(ids()) == []


def test_bit_rates_of_known_sequences():
    def rates(*sequences, size):
        found = compute_bit_rates(sequences, size)
        assert list(found) == [
            *(f"bits_{name}" for name in ("nominal", "entropy", "run_length", "zlib", "bz2")),
            "mean_run",
        ]
        return found.values()

    nominal, entropy, run_length, _, _, mean_run = rates(*[ids(0, 1, 2, 3)] * 5, size=1024)
    assert (nominal, entropy, run_length, mean_run) == (250.0, pytest.approx(50.0), pytest.approx(50.0), 1.0)
    # Runs of 5 of two symbols, as often: a fifth of the runs, one bit each.
    _, entropy, run_length, _, _, mean_run = rates(*[ids(*[0] * 5, *[1] * 5)] * 4, size=2)
    assert (entropy, run_length, mean_run) == (pytest.approx(25.0), pytest.approx(5.0), 5.0)
    _, entropy, run_length, zlib, bz2, _ = rates(ids(*[3] * 25_000), size=4)
    assert entropy == run_length == 0.0 and zlib < 1.0 and bz2 < 1.0
    _, entropy, _, zlib, bz2, _ = rates(np.random.default_rng(0).integers(1024, size=20_000), size=1024)
    assert 0.97 * 250 < entropy <= 250.0 and zlib > 240.0 and bz2 > 240.0
    # Runs end with their clip.
    *_, mean_run = rates(ids(1, 1), ids(1, 1), size=4)
    assert mean_run == 2.0
    with pytest.raises(ValueError, match="no ids"):
        compute_bit_rates([ids()], 4)
