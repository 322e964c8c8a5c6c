# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Small corpora: a folder with a manifest for each split."""

import os
from pathlib import Path
from typing import Any

from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.records import SpeechTextRecord

Folder = str | os.PathLike[str]


def read_split(
    root: Folder, split: str, *, max_duration_seconds: float | None = None, **options: Any
) -> list[SpeechTextRecord]:
    """Records of `<split>.tsv`.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        max_duration_seconds: longer clips are left out.
        options: as for `read_manifest`.

    Raises:
        FileNotFoundError: unknown split; the message lists the existing ones.
    """
    path = Path(root) / f"{split}.tsv"
    if not path.is_file():
        there = sorted(found.stem for found in Path(root).glob("*.tsv")) or "no .tsv at all"
        raise FileNotFoundError(f"{path}: no such split; the folder has {there}")
    return not_longer(read_manifest(path, **options), max_duration_seconds)


def not_longer(records: list[SpeechTextRecord], max_duration_seconds: float | None) -> list[SpeechTextRecord]:
    """The records whose recordings do not exceed a duration; None keeps all."""
    if max_duration_seconds is None:
        return records
    return [record for record in records if (record.duration_seconds or 0.0) <= max_duration_seconds]
