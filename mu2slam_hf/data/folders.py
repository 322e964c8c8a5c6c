# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A folder with manifests: laid out by hand, by `datasets`' audio folder, or as a data set on the Hub."""

import os
import re
from pathlib import Path
from typing import Any

from mu2slam_hf.data.manifests import MANIFEST_SUFFIXES, ManifestError, read_manifest
from mu2slam_hf.data.records import SpeechTextRecord


def find_manifests(folder: str | os.PathLike[str], split: str = "train") -> list[Path]:
    """The manifests of a split, in order of their names.

    The first of these that there is: `<split>.tsv` (or .csv, .jsonl, .parquet); `<split>/metadata.csv` and the like;
    shards `<split>-00000-of-00002.parquet`; the same below `data/`; and, for train only, `manifest.tsv` or
    `metadata.csv` at the top.

    Raises:
        ManifestError: there is none; the message lists what is there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ManifestError(f"{folder}: no such folder")
    shard = re.compile(rf"{re.escape(split)}-\d+-of-\d+(-[0-9a-f]+)?")
    for parent in (folder, folder / "data"):
        files = sorted(
            path for path in parent.glob("*") if path.suffix.lower() in MANIFEST_SUFFIXES and path.is_file()
        )
        inside = sorted((parent / split).glob("metadata.*"))
        for found in (
            [path for path in files if path.stem == split][:1],
            [path for path in inside if path.suffix.lower() in MANIFEST_SUFFIXES][:1],
            [path for path in files if shard.fullmatch(path.stem)],
            [path for path in files if split == "train" and path.stem in ("manifest", "metadata")][:1],
        ):
            if found:
                return found
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise ManifestError(f"{folder}: no manifest of the split {split!r} (such as {split}.tsv); there is {there}")


def read_folder(
    folder: str | os.PathLike[str], split: str = "train", *, corpus: str | None = None, **options: Any
) -> list[SpeechTextRecord]:
    """Records of a split of a folder.

    Args:
        folder: see `find_manifests` for how it may look.
        split: train, dev, ...
        corpus: name given to the records; default: the name of the folder.
        options: as for `read_manifest`.

    Raises:
        ManifestError: no manifest, a faulty one, or the same id in two shards.
    """
    corpus = corpus if corpus is not None else Path(folder).resolve().name
    records: dict[str, SpeechTextRecord] = {}
    for path in find_manifests(folder, split):
        for record in read_manifest(path, corpus=corpus, **options):
            if record.key in records:
                raise ManifestError(f"{path}: id {record.id!r} ({record.lang}) is also in another shard")
            records[record.key] = record
    return list(records.values())
