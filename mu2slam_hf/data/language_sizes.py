# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Size of the data of each language: rows and hours, counted without reading audio."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.data.manifests import ManifestColumns, usual_columns
from mu2slam_hf.data.records import cached_canonical_language


@dataclass(kw_only=True)
class LanguageSize:
    """Size of the data of one language.

    Attributes:
        num_rows: number of rows.
        hours: hours of recordings; None if a row has no duration.
    """

    num_rows: int = 0
    hours: float | None = 0.0


def add_sizes(parts: Iterable[Mapping[str, LanguageSize]]) -> dict[str, LanguageSize]:
    """Language -> size of all parts together."""
    sizes: dict[str, LanguageSize] = {}
    for part in parts:
        for lang, size in part.items():
            whole = sizes.setdefault(lang, LanguageSize())
            whole.num_rows += size.num_rows
            whole.hours = None if whole.hours is None or size.hours is None else whole.hours + size.hours
    return sizes


def size_columns(columns: ManifestColumns | None = None) -> tuple[str, ...]:
    """Names of the columns that `measure_rows` reads if they exist."""
    return (*usual_columns("lang", columns), *usual_columns("duration_seconds", columns))


def measure_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: ManifestColumns | None = None,
    lang: str | None = None,
) -> dict[str, LanguageSize]:
    """Canonical language -> size. Rows without a valid language are skipped.

    Args:
        rows: rows of a manifest or data set; only their languages and durations are read.
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if there is no such column.
    """
    sizes: dict[str, LanguageSize] = {}
    for row in rows:
        code, stated = (
            next((row[name] for name in usual_columns(role, columns) if name in row), None)
            for role in ("lang", "duration_seconds")
        )
        try:
            size = sizes.setdefault(cached_canonical_language(str(lang or code or "")), LanguageSize())
        except ValueError:
            continue
        size.num_rows += 1
        try:
            hours = float(stated) / 3600  # type: ignore[arg-type]
        except (TypeError, ValueError):
            hours = 0.0
        size.hours = size.hours + hours if size.hours is not None and hours > 0 else None
    return sizes
