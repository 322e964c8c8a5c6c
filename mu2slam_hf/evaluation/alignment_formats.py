# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""File formats of alignments: TSV, JSON, TextGrid (Praat), SRT and WebVTT subtitles."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mu2slam_hf.models.processing_alignment import AlignedWord, Alignment

# Limits of a subtitle (two lines of 42 characters, 7 seconds); a pause starts a new one.
_MOST_CHARACTERS = 84
_MOST_SECONDS = 7.0
_PAUSE_SECONDS = 0.7


def format_tsv(alignment: Alignment) -> str:
    """One line per word: start and end in seconds, confidence (or empty), the word."""
    lines = ["start\tend\tconfidence\tword"]
    for word in alignment.words:
        confidence = "" if word.confidence is None else f"{word.confidence:.4f}"
        lines.append(f"{word.start_seconds:.3f}\t{word.end_seconds:.3f}\t{confidence}\t{word.text}")
    return "\n".join(lines) + "\n"


def alignment_to_dict(alignment: Alignment) -> dict[str, Any]:
    """Plain JSON types, times to the millisecond."""
    return {
        "duration_seconds": round(alignment.duration_seconds, 3),
        "score": round(alignment.score, 6),
        "unknown_characters": list(alignment.unknown_characters),
        "words": [
            {
                "word": word.text,
                "start": round(word.start_seconds, 3),
                "end": round(word.end_seconds, 3),
                "confidence": None if word.confidence is None else round(word.confidence, 6),
            }
            for word in alignment.words
        ],
    }


def format_json(alignment: Alignment) -> str:
    """One JSON object."""
    return json.dumps(alignment_to_dict(alignment), ensure_ascii=False, indent=1) + "\n"


def format_textgrid(alignment: Alignment) -> str:
    """A Praat TextGrid (long form) with one interval tier `words`; pauses are intervals without text."""
    intervals: list[tuple[float, float, str]] = []
    here = 0.0
    for word in alignment.words:
        if word.start_seconds - here > 1e-9:
            intervals.append((here, word.start_seconds, ""))
        # Praat does not accept empty intervals.
        if word.end_seconds - word.start_seconds > 1e-9:
            intervals.append((word.start_seconds, word.end_seconds, word.text))
        here = max(here, word.end_seconds)
    if alignment.duration_seconds - here > 1e-9:
        intervals.append((here, alignment.duration_seconds, ""))
    end = alignment.duration_seconds
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.6f}"]
    lines += ["tiers? <exists>", "size = 1", "item []:", "    item [1]:", '        class = "IntervalTier"']
    lines += ['        name = "words"', "        xmin = 0", f"        xmax = {end:.6f}"]
    lines.append(f"        intervals: size = {len(intervals)}")
    for number, (start, stop, text) in enumerate(intervals, start=1):
        quoted = text.replace('"', '""')
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {start:.6f}",
            f"            xmax = {stop:.6f}",
        ]
        lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"


def format_srt(alignment: Alignment) -> str:
    """SubRip subtitles."""
    blocks = [
        f"{number}\n{_clock(words[0].start_seconds, ',')} --> {_clock(words[-1].end_seconds, ',')}\n{_text(words)}\n"
        for number, words in enumerate(split_subtitles(alignment.words), start=1)
    ]
    return "\n".join(blocks)


def format_vtt(alignment: Alignment) -> str:
    """WebVTT subtitles, with the time of each word (players may highlight the current word)."""
    blocks = ["WEBVTT\n"]
    for words in split_subtitles(alignment.words):
        timed = [_escape(words[0].text)]
        timed += [f"<{_clock(word.start_seconds, '.')}>{_escape(word.text)}" for word in words[1:]]
        span = f"{_clock(words[0].start_seconds, '.')} --> {_clock(words[-1].end_seconds, '.')}"
        blocks.append(f"{span}\n{' '.join(timed)}\n")
    return "\n".join(blocks)


def split_subtitles(words: Sequence[AlignedWord]) -> Iterator[list[AlignedWord]]:
    """Group words into subtitles of up to two lines and 7 seconds; a longer pause starts a new one."""
    group: list[AlignedWord] = []
    for word in words:
        if group and (
            word.start_seconds - group[-1].end_seconds > _PAUSE_SECONDS
            or word.end_seconds - group[0].start_seconds > _MOST_SECONDS
            or len(_text([*group, word])) > _MOST_CHARACTERS
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _text(words: Sequence[AlignedWord]) -> str:
    return " ".join(word.text for word in words)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    """`01:02:03,004`."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


FORMATS: dict[str, Callable[[Alignment], str]] = {
    "tsv": format_tsv,
    "json": format_json,
    "textgrid": format_textgrid,
    "srt": format_srt,
    "vtt": format_vtt,
}
"""Maps each format (also the extension of its files, with Praat's capitals for `TextGrid`) to its function."""

SUFFIXES = {name: ".TextGrid" if name == "textgrid" else f".{name}" for name in FORMATS}
