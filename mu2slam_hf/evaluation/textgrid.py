# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Praat TextGrid files (long form)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Interval = tuple[float, float, str]
"""Start and end in seconds, and a text."""

# Praat does not accept empty intervals; times are written with 6 digits.
_SHORTEST_SECONDS = 1e-6


@dataclass(frozen=True)
class Tier:
    """An interval tier.

    Attributes:
        name: name of the tier.
        intervals: by start time, without overlap; the tier is filled with intervals without text.
    """

    name: str
    intervals: Sequence[Interval]


def format_textgrid(tiers: Sequence[Tier], duration_seconds: float) -> str:
    """A TextGrid in long form, in which each tier covers the recording without gaps."""
    end = f"{duration_seconds:.6f}"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, tier in enumerate(tiers, start=1):
        intervals = fill_gaps(tier.intervals, duration_seconds)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(tier.name)}"]
        lines += ["        xmin = 0", f"        xmax = {end}", f"        intervals: size = {len(intervals)}"]
        for place, (start, stop, text) in enumerate(intervals, start=1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {start:.6f}",
                f"            xmax = {stop:.6f}",
            ]
            lines.append(f"            text = {_quoted(text)}")
    return "\n".join(lines) + "\n"


def fill_gaps(intervals: Iterable[Interval], duration_seconds: float) -> list[Interval]:
    """The intervals with empty ones between them; intervals without duration or past the end are left out."""
    filled: list[Interval] = []
    here = 0.0
    for start, end, text in intervals:
        start, end = max(start, here), min(end, duration_seconds)
        if end - start < _SHORTEST_SECONDS:
            continue
        if start - here >= _SHORTEST_SECONDS:
            filled.append((here, start, ""))
        else:
            start = here
        filled.append((start, end, text))
        here = end
    if duration_seconds - here >= _SHORTEST_SECONDS or not filled:
        filled.append((here, duration_seconds, ""))
    return filled


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
