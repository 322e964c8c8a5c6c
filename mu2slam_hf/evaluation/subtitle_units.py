# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Words of a text with their times, as subtitles divide them: known times, or times in proportion to length."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mu2slam_hf.models.processing_alignment import AlignedWord


@dataclass(frozen=True, kw_only=True)
class SubtitleUnit:
    """A word, or a character of a text written without spaces.

    Attributes:
        text: the word with its punctuation.
        start_seconds: start in the recording.
        end_seconds: end in the recording.
        joint: what is between it and the previous unit: a space or nothing.
    """

    text: str
    start_seconds: float
    end_seconds: float
    joint: str = " "


def display_width(text: str) -> int:
    """Columns of a text on the screen: two for wide East Asian characters, none for combining marks."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def split_units(
    text: str,
    start_seconds: float,
    end_seconds: float,
    words: Sequence[AlignedWord] = (),
    *,
    max_characters: int = 42,
) -> list[SubtitleUnit]:
    """Divide a text into words with times.

    Args:
        text: transcript or translation of a segment.
        start_seconds: start of the segment.
        end_seconds: end of the segment.
        words: words (or tokens) of the text with known times; without them, times are in proportion to length.
        max_characters: longer words, also whole texts without spaces, are divided into characters.
    """
    if words:
        units = _known_units(text, words)
    else:
        spread = _spread(text.split(), start_seconds, end_seconds)
        units = [SubtitleUnit(text=one, start_seconds=start, end_seconds=end) for one, start, end in spread]
    divided: list[SubtitleUnit] = []
    for unit in units:
        if display_width(unit.text) <= max_characters:
            divided.append(unit)
            continue
        spread = _spread(_characters(unit.text), unit.start_seconds, unit.end_seconds)
        for place, (piece, start, end) in enumerate(spread):
            joint = "" if place else unit.joint
            divided.append(SubtitleUnit(text=piece, start_seconds=start, end_seconds=end, joint=joint))
    return divided


def _known_units(text: str, words: Sequence[AlignedWord]) -> list[SubtitleUnit]:
    """Words with the spaces that the text has between them; tokens of a text without spaces have none."""
    units: list[SubtitleUnit] = []
    place = 0
    for word in words:
        found = text.find(word.text, place)
        between = text[place:found] if found >= 0 else " "
        joint = " " if not units or any(char.isspace() for char in between) else ""
        place = found + len(word.text) if found >= 0 else place
        units.append(
            SubtitleUnit(text=word.text, start_seconds=word.start_seconds, end_seconds=word.end_seconds, joint=joint)
        )
    return units


def _spread(texts: Sequence[str], start_seconds: float, end_seconds: float) -> list[tuple[str, float, float]]:
    """Texts with times in proportion to their length."""
    seconds = (end_seconds - start_seconds) / max(sum(len(text) for text in texts), 1)
    spread, here = [], 0
    for text in texts:
        start = start_seconds + seconds * here
        here += len(text)
        spread.append((text, start, start_seconds + seconds * here))
    return spread


def _characters(text: str) -> list[str]:
    """Characters with the marks that follow them."""
    pieces: list[str] = []
    for char in text:
        if pieces and unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf"):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces
