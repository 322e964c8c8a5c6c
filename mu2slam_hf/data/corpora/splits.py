# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of splits, and the files of a split in the layouts of the Hub."""

from collections.abc import Sequence
from pathlib import Path


def split_spellings(split: str) -> tuple[str, ...]:
    """The split's name and its synonym: `dev` and `validation`."""
    other = {"dev": "validation", "validation": "dev"}.get(split)
    return (split, other) if other else (split,)


def find_parquet(root: Path, config: str, split: str) -> list[Path]:
    """Parquet files of a configuration as the Hub lays them out.

    `<config>/<split>-00000-of-00002.parquet` (the repository), or `<config>/<split>/0000.parquet` (its branch
    `refs/convert/parquet`), at the top or below `data/` or `parquet-data/`.
    """
    for parent in (root, root / "data", root / "parquet-data"):
        for name in split_spellings(split):
            folder = parent / config
            results = sorted(folder.glob(f"{name}-*.parquet")) or sorted((folder / name).glob("*.parquet"))
            if results:
                return results
    return []


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
