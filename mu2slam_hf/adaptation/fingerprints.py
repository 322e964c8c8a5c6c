# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fingerprints of training data, by which a changed folder is recognised."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from mu2slam_hf.adaptation.prepared_data import PreparedData

_NOT_CONTENT = ("place", "shared")


def fingerprint_records(prepared: PreparedData) -> dict[str, str]:
    """Key of each record -> hash of its texts, languages, part, times, file name and size of the file.

    Choice: sizes in place of contents and times, so that hours of audio are not read again and a copied folder is the
    same; a recording that was replaced by one of exactly the same size is not noticed.
    """
    sizes: dict[str, int] = {}
    found = {}
    for row in prepared.to_dict()["records"]:
        audio = row["audio"]
        if audio is not None and audio not in sizes:
            sizes[audio] = Path(audio).stat().st_size
        content = {name: value for name, value in row.items() if name not in _NOT_CONTENT}
        content["audio"] = None if audio is None else [Path(audio).name, sizes[audio]]
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        found[row["key"]] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return found


def describe_changes(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """`3 recordings were added, 1 was changed (a/b/c)`; None without changes.

    Args:
        before: from `fingerprint_records`.
        now: likewise.
    """
    groups = {
        "added": sorted(set(now) - set(before)),
        "removed": sorted(set(before) - set(now)),
        "changed": sorted(key for key in set(now) & set(before) if now[key] != before[key]),
    }
    parts = [f"{len(keys):,} {what} ({keys[0]}{', ...' if keys[1:] else ''})" for what, keys in groups.items() if keys]
    return ", ".join(parts) or None
