# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The directions of translation that are evaluated: `--directions en-fr fr-en`."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

_MAX_LISTED = 30


def direction_list(text: str) -> list[str]:
    """`en-fr,fr-en` as a list."""
    names = [name.strip() for name in text.split(",")]
    if not all("-" in name for name in names):
        raise argparse.ArgumentTypeError(f"expected directions such as en-fr, separated by commas, got {text!r}")
    return names


def select_directions(records: Sequence[Any], directions: Sequence[str], tasks: Sequence[str]) -> list[Any]:
    """Records without the translations of other directions.

    Args:
        records: records of the test data.
        directions: source and target language each, by their canonical codes: `en-fr`, `pt-BR-en`.
        tasks: evaluated tasks; `ast` has the directions of recordings, `mt` those of texts.

    Returns:
        All records if `asr` is one of the tasks, else those that have a translation in one of the directions.

    Raises:
        ValueError: no task is a translation, or a direction that the records do not have.
    """
    if not {"ast", "mt"} & set(tasks):
        raise ValueError(f"--directions requires ast or mt in --tasks, got {' '.join(tasks)}")
    chosen: list[Any] = []
    known: set[str] = set()
    for record in records:
        is_used = ("ast" in tasks and record.audio is not None) or ("mt" in tasks and bool(record.text))
        names = {lang: f"{record.lang}-{lang}" for lang in record.translations} if is_used else {}
        known.update(names.values())
        kept = {lang: record.translations[lang] for lang, name in names.items() if name in directions}
        if kept or "asr" in tasks:
            chosen.append(replace(record, translations=kept))
    unknown = [name for name in directions if name not in known]
    if unknown:
        listed = ", ".join(sorted(known)[:_MAX_LISTED]) + (", ..." if len(known) > _MAX_LISTED else "")
        raise ValueError(
            f"--directions {' '.join(unknown)}: the data has no such direction for {' and '.join(tasks)}; it has "
            f"{listed or 'no translations'}"
        )
    return chosen
