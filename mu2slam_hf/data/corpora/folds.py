# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Folds of a small split, for training on one part of it and testing on the rest."""

from collections.abc import Sequence


def check_folds(folds: Sequence[int] | None, num_folds: int) -> frozenset[int] | None:
    """The requested folds as a set; None for the whole split.

    Raises:
        ValueError: a fold that does not exist, or fewer than two folds.
    """
    if folds is None:
        return None
    if num_folds < 2 or not folds or not set(folds) <= set(range(num_folds)):
        raise ValueError(f"`folds` must be some of 0 to {num_folds - 1} (num_folds is {num_folds}); got {list(folds)}")
    return frozenset(folds)
