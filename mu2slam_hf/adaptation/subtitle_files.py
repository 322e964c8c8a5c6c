# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of subtitles (SubRip .srt, WebVTT .vtt) as a tier."""

import re
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.findings import Finding
from mu2slam_hf.adaptation.text_files import TextFileError, read_text_file
from mu2slam_hf.adaptation.tiers import AnnotationFileError, AnnotationTier, TimedText
from mu2slam_hf.data.clock import clock

_ARROW = "-->"
# The labels that this package writes for speakers, and the voices of WebVTT.
_SPEAKER = re.compile(r"<v(?:\.[^ >]*)?\s+([^>]+)>|^\[(speaker [^\]]+)\]\s*", re.IGNORECASE)


def read_subtitles(path: Path, encoding: str | None = None) -> AnnotationTier:
    """Read a subtitle file; lines of a subtitle are joined, marks of format are removed.

    Args:
        path: a .srt or .vtt file.
        encoding: encoding of a file without a byte order mark; None means UTF-8.

    Returns:
        one tier with the name of the file; the places of its texts are `file:line`.

    Raises:
        AnnotationFileError: the file cannot be read or has no subtitles.
    """
    from pysubs2 import SSAFile
    from pysubs2.formats import get_format_class

    format_name = path.suffix.lower().removeprefix(".")
    times = get_format_class(format_name)
    try:
        content = read_text_file(path, encoding)
    except TextFileError as error:
        raise AnnotationFileError(str(error)) from error
    if format_name == "vtt":
        content = _without_notes(content)
    broken: list[Finding] = []
    lines = content.split("\n")
    arrows = [
        number for number, line in enumerate(lines, start=1) if _ARROW in line or _has_times(line, times) is not False
    ]
    readable = [number for number in arrows if _has_times(lines[number - 1], times) is True]
    if not arrows:
        raise AnnotationFileError(f"{path}: has no subtitles; expected lines such as 00:00:01,000 --> 00:00:02,500")
    for number in sorted(set(arrows) - set(readable)):
        reason = f"the times cannot be read: {lines[number - 1].strip()[:60]!r}"
        broken.append(Finding(kind="broken_row", place=f"{path}:{number}", message=reason))
        # Neither its number nor its text may be taken for a part of the subtitle before it.
        _blank_subtitle(lines, number)
    texts: list[TimedText] = []
    file = SSAFile.from_string("\n".join(lines), format_name, keep_html_tags=True)
    for number, event in zip(readable, file, strict=True):
        voice = _SPEAKER.search(event.plaintext)
        text = re.sub(r"</?[a-zA-Z][^>]*>|<[\d:.]+>", "", _SPEAKER.sub("", event.plaintext))
        start, end = event.start / 1000, event.end / 1000
        if end <= start:
            reason = f"the subtitle starts at {clock(start)} and ends at {clock(end)}, not after its start"
            broken.append(Finding(kind="broken_row", place=f"{path}:{number}", message=reason))
        elif text.strip():
            speaker = (voice[1] or voice[2]).strip() if voice else None
            place = f"{path}:{number}"
            texts.append(
                TimedText(start_seconds=start, end_seconds=end, text=_unescape(text), place=place, speaker=speaker)
            )
    texts.sort(key=lambda timed: timed.start_seconds)
    return AnnotationTier(name=path.name, texts=tuple(texts), broken=tuple(broken))


def _has_times(line: str, format_class: Any) -> bool | None:
    """Whether pysubs2 takes a line for the times of a subtitle; None if it does and cannot read them."""
    stamps = format_class.TIMESTAMP.findall(line)
    if len(stamps) != 2:
        return False
    try:
        return all(format_class.timestamp_to_ms(stamp) >= 0 for stamp in stamps)
    except ValueError:
        return None


def _without_notes(content: str) -> str:
    """WebVTT with blank lines in place of headers, comments, styles and names of cues, so that lines keep numbers."""
    kept: list[str] = []
    for block in re.split(r"(\n\s*\n)", content):
        lines = block.split("\n")
        first = next((place for place, line in enumerate(lines) if _ARROW in line), len(lines))
        kept.append("\n".join([""] * first + lines[first:]) if block.strip() else block)
    return "".join(kept)


def _blank_subtitle(lines: list[str], number: int) -> None:
    """Empty the lines of a subtitle in place: the line with its times (`number`, from 1), its number and its text."""
    place = number - 1
    if place > 0 and lines[place - 1].strip().isdigit():
        lines[place - 1] = ""
    while place < len(lines) and lines[place].strip():
        lines[place] = ""
        place += 1


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
