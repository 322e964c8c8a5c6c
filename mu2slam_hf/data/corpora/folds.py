# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Folds of a small split, for training on one part of it and testing on the rest."""

from collections.abc import Sequence


def check_folds(
    folds: Sequence[int] | None, num_folds: int, except_folds: Sequence[int] | None = None
) -> frozenset[int] | None:
    """The requested folds as a set; None for the whole split.

    Args:
        folds: the folds to take.
        num_folds: number of folds.
        except_folds: instead of `folds`, the folds to leave out.

    Raises:
        ValueError: a fold that does not exist, fewer than two folds, no fold left, or both kinds of choice.
    """
    if folds is None and except_folds is None:
        return None
    if folds is not None and except_folds is not None:
        raise ValueError("`folds` and `except_folds` exclude each other; give one of them")
    name, given = ("folds", folds) if folds is not None else ("except_folds", except_folds)
    every = frozenset(range(num_folds))
    if num_folds < 2 or not given or not every.issuperset(given):
        raise ValueError(
            f"`{name}` must be some of 0 to {num_folds - 1} (num_folds is {num_folds}); got {list(given or [])}"
        )
    chosen = frozenset(given) if folds is not None else every.difference(given)
    if not chosen:
        raise ValueError(f"`except_folds` leaves out all {num_folds} folds")
    return chosen
