# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of splits, and the files of a split in the layouts of the Hub."""

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
            found = sorted(folder.glob(f"{name}-*.parquet")) or sorted((folder / name).glob("*.parquet"))
            if found:
                return found
    return []
