# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records as a manifest that a recipe reads."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.record_table import record_rows
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.records import SpeechTextRecord

_COLUMNS = {"key": "id", "duration_seconds": "duration_s"}
_LEFT_OUT = ("part", "place", "shared", "session")


def write_manifest(records: Iterable[SpeechTextRecord], path: str | os.PathLike[str]) -> None:
    """Write records as JSONL with absolute paths; `read_manifest` reads equal records.

    Args:
        records: with audio in files, or with texts only.
        path: file to write; an existing one is replaced.
    """
    with atomic_path(path) as temporary, Path(temporary).open("w", encoding="utf-8") as file:
        for row in record_rows({"": list(records)}, {}, {}):
            file.write(json.dumps(_to_manifest_row(row), ensure_ascii=False) + "\n")


def _to_manifest_row(row: dict[str, Any]) -> dict[str, Any]:
    audio = row["audio"]
    named = {_COLUMNS.get(name, name): value for name, value in row.items() if name not in _LEFT_OUT}
    return {
        name: value
        for name, value in {**named, "audio": os.path.abspath(audio) if audio else None}.items()
        if value is not None and value != {}
    }
