# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of a split of a user's data: one file, a folder in one of the usual layouts, or a glob pattern."""

import glob
import os
import re
from pathlib import Path

from mu2slam_hf.data.table_files import TABLE_FORMATS, ManifestError

MANIFEST_ENDINGS = (*TABLE_FORMATS, *(f"{ending}.gz" for ending in TABLE_FORMATS if ending != ".parquet"))
ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz")
_OTHER_SPLIT = re.compile(r"(dev|val|valid|validation|eval|test)([-_.]|$)")


def find_shards(
    where: str | os.PathLike[str], split: str = "train", endings: tuple[str, ...] = MANIFEST_ENDINGS
) -> list[Path]:
    """The manifests or archives of a split, sorted by name.

    Args:
        where: a file; a glob pattern, such as `shards/*.jsonl.gz`; or a folder. In a folder, the first of these that
            exists: `<split>.tsv` (or another extension); `<split>/metadata.csv` and the like;
            `<split>-00000-of-00002.parquet`, `<split>_7.jsonl` and the like; all files in `<split>/`; the same below
            `data/`; and for `train`: `manifest.tsv` or `metadata.csv`, else all files except those named after another
            split.
        split: train, dev, ...; for folders only.
        endings: extensions of the files.

    Raises:
        ManifestError: no file was found; the message lists the files that exist.
    """
    where = Path(where)
    if where.is_file():
        return [where]
    if not where.is_dir():
        results = [Path(name) for name in sorted(glob.glob(str(where), recursive=True)) if Path(name).is_file()]
        if not results:
            expected = "no file matches" if glob.has_magic(str(where)) else "no such file or folder"
            raise ManifestError(f"{where}: {expected}; expected files that end in {', '.join(endings)}")
        return results
    folders = (where, where / "data")
    for results in (files for folder in folders for files in _layouts(folder, split, endings)):
        if results:
            return results
    for folder in folders if split == "train" else ():
        results = [path for path, stem in _files_by_stem(folder, endings).items() if not _OTHER_SPLIT.match(stem)]
        if results:
            return results
    there = ", ".join(sorted(path.name for path in where.iterdir())[:10]) or "nothing"
    expected = f"no files of the split {split!r} that end in {', '.join(endings)} (such as {split}{endings[0]})"
    raise ManifestError(f"{where}: {expected}; there is {there}")


def _layouts(folder: Path, split: str, endings: tuple[str, ...]) -> list[list[Path]]:
    """The files of each layout, in order of precedence."""
    stems = _files_by_stem(folder, endings)
    inside = _files_by_stem(folder / split, endings)
    numbered = re.compile(rf"{re.escape(split)}[-_.]?\d.*")
    return [
        [path for path, stem in stems.items() if stem == split][:1],
        [path for path, stem in inside.items() if stem == "metadata"][:1],
        [path for path, stem in stems.items() if numbered.fullmatch(stem)],
        list(inside),
        [path for path, stem in stems.items() if split == "train" and stem in ("manifest", "metadata")][:1],
    ]


def _files_by_stem(folder: Path, endings: tuple[str, ...]) -> dict[Path, str]:
    """File -> its name without the extension, sorted by name."""
    files = {}
    for path in sorted(folder.glob("*")):
        ending = next((ending for ending in endings if path.name.lower().endswith(ending)), None)
        if ending is not None and path.is_file():
            files[path] = path.name[: -len(ending)]
    return files
