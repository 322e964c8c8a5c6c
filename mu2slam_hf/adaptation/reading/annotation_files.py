# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of files with annotations: ELAN (.eaf), Praat TextGrids, subtitles (SubRip .srt, WebVTT .vtt)."""

import io
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from mu2slam_hf.adaptation.reading.read_data import Finding
from mu2slam_hf.adaptation.reading.text_files import TextFileError, read_text_file
from mu2slam_hf.adaptation.reading.tiers import (
    AnnotationFile,
    AnnotationFileError,
    AnnotationTier,
    TimedText,
    build_tier,
)
from mu2slam_hf.data.clock import clock

# Annotation id -> start and end in milliseconds; None for a time that ELAN has not aligned.
_Times = dict[str, tuple[int | None, int | None]]


def read_elan(path: Path) -> AnnotationFile:
    """Read all tiers of an ELAN file.

    Annotations that refer to a parent annotation have the times of their parent; several that refer to the same one
    (a symbolic subdivision, such as words) are joined in order.

    Args:
        path: the file.

    Raises:
        AnnotationFileError: not a readable ELAN file.
    """
    from pympi.Elan import Eaf

    try:
        document = Eaf(str(path), suppress_version_warning=True)
        times, media = _annotation_times(document), _media(document)
        tiers = tuple(_read_elan_tier(path, name, content, times) for name, content in document.tiers.items())
    # pympi raises whatever the first unexpected element leads to: Exception, KeyError, IndexError, ValueError.
    except Exception as error:
        raise AnnotationFileError(
            f"{path}: cannot be read as an ELAN file ({type(error).__name__}: {error}). Open it in ELAN and save it "
            "again; if ELAN cannot open it either, take the last backup (.eaf.001)"
        ) from error
    return AnnotationFile(path=path, tiers=tuple(t for t in tiers if t.texts or t.broken), media=media)


def _annotation_times(document: Any) -> _Times:
    """Times of all annotations; of those that refer to another one, its times."""
    times: _Times = {}
    parents: dict[str, str] = {}
    for aligned, references, _, _ in document.tiers.values():
        for identity, (start, end, _, _) in aligned.items():
            times[identity] = document.timeslots.get(start), document.timeslots.get(end)
        parents.update({identity: reference[0] for identity, reference in references.items()})
    for identity in parents:
        ancestor, steps = identity, 0
        while ancestor in parents and steps <= len(parents):
            ancestor, steps = parents[ancestor], steps + 1
        times[identity] = times.get(ancestor, (None, None))
    return times


def _read_elan_tier(path: Path, name: str, content: Any, times: _Times) -> AnnotationTier:
    aligned, references, attributes, _ = content
    texts: list[TimedText] = []
    broken: list[Finding] = []
    own_texts = {identity: text for identity, (_, _, text, _) in aligned.items()}
    for identity, text in (own_texts | _joined_texts(references)).items():
        start, end = times[identity]
        where = f"{path}, tier {name!r}"
        if start is None or end is None:
            reason = f"annotation {identity} ({text[:40]!r}) has no time"
            broken.append(Finding(kind="broken_row", place=where, message=reason))
        else:
            place = f"{where}, {clock(start / 1000)}"
            texts.append(TimedText(start_seconds=start / 1000, end_seconds=end / 1000, text=text, place=place))
    return build_tier(
        name,
        texts,
        "annotation",
        broken,
        participant=attributes.get("PARTICIPANT") or None,
        parent=attributes.get("PARENT_REF"),
        type_name=attributes.get("LINGUISTIC_TYPE_REF"),
        lang=attributes.get("LANG_REF") or None,
    )


def _joined_texts(references: Mapping[str, Any]) -> dict[str, str]:
    """The first annotation of each parent -> the texts of all of them, in the order of ELAN's chain."""
    chains: dict[str, list[str]] = {}
    following = {previous: identity for identity, (_, _, previous, _) in references.items() if previous}
    for identity, (parent, _, previous, _) in references.items():
        if previous in references:
            continue
        chain = chains.setdefault(parent, [])
        current: str | None = identity
        while current is not None and len(chain) <= len(references):
            chain.append(current)
            current = following.get(current)
    return {
        chain[0]: " ".join(filter(None, (references[identity][1].strip() for identity in chain)))
        for chain in chains.values()
    }


def _media(document: Any) -> dict[str, float]:
    """File names of the linked recordings; the time origin is where the annotation's zero is in the recording."""
    media = {}
    for descriptor in document.media_descriptors:
        address = descriptor.get("RELATIVE_MEDIA_URL") or descriptor.get("MEDIA_URL") or ""
        name = PurePosixPath(unquote(address).replace("\\", "/")).name
        if name:
            media[name] = int(descriptor.get("TIME_ORIGIN") or 0) / 1000
    return media


_BINARY = b"ooBinaryFile"
# Praat writes times close to zero as 2.2e-16; pympi reads digits and points only.
_EXPONENT = re.compile(r"^(\s*(?:(?:xmin|xmax|number) = )?)(-?\d+(?:\.\d+)?[eE][-+]?\d+)[ \t]*$", re.MULTILINE)


def read_textgrid(path: Path, encoding: str | None = None) -> AnnotationFile:
    """Read the interval tiers of a TextGrid (long, short or binary form); intervals without text are gaps.

    Args:
        path: the file.
        encoding: encoding of a text file without a byte order mark; None means UTF-8.

    Raises:
        AnnotationFileError: not a readable TextGrid.
    """
    from pympi.Praat import TextGrid

    try:
        content = path.read_bytes()
        if not content.startswith(_BINARY):
            text = _EXPONENT.sub(lambda match: f"{match[1]}{float(match[2]):.9f}", read_text_file(path, encoding))
            content = text.encode("utf-8")
        grid = TextGrid(xmax=0)
        grid.from_file(io.BytesIO(content), "utf-8")
    except TextFileError as error:
        raise AnnotationFileError(str(error)) from error
    # A cut off file raises StopIteration, other faults AttributeError, ValueError, struct.error, ...
    except Exception as error:
        raise AnnotationFileError(
            f"{path}: cannot be read as a TextGrid; it may be cut off. Open it in Praat and save it again"
        ) from error
    interval_tiers = [tier for tier in grid.tiers if tier.tier_type == "IntervalTier"]
    for tier in interval_tiers:
        if not all(math.isfinite(time) for start, end, _ in tier.intervals for time in (start, end)):
            raise AnnotationFileError(f"{path}: the tier {tier.name!r} has a time that is not a number")
    tiers = [_read_praat_tier(path, tier) for tier in interval_tiers]
    return AnnotationFile(path=path, tiers=tuple(tier for tier in tiers if tier.texts or tier.broken))


def _read_praat_tier(path: Path, tier: Any) -> AnnotationTier:
    texts = [
        TimedText(start_seconds=start, end_seconds=end, text=text, place=f"{path}, tier {tier.name!r}, {clock(start)}")
        for start, end, text in tier.intervals
        if text.strip()
    ]
    return build_tier(str(tier.name), texts, "interval")


_ARROW = "-->"
# The labels that this package writes for speakers, and the voices of WebVTT.
_SPEAKER = re.compile(r"<v(?:\.[^ <>]*)?\s+([^<>]+)>|^\[(speaker [^\]]+)\]\s*", re.IGNORECASE)


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
        _blank_subtitle(lines, number, arrows)
    texts: list[TimedText] = []
    file = SSAFile.from_string("\n".join(lines), format_name, keep_html_tags=True)
    if len(file) != len(readable):
        reason = f"{len(readable)} lines with times, and {len(file)} subtitles"
        message = f"{path}: the subtitles cannot be separated ({reason}); save it again with an editor"
        raise AnnotationFileError(message)
    for number, event in zip(readable, file, strict=True):
        voice = _SPEAKER.search(event.plaintext)
        text = re.sub(r"</?[a-zA-Z][^<>]*>|<[\d:.]+>", "", _SPEAKER.sub("", event.plaintext))
        if not text.strip() and event.end > event.start:
            continue
        texts.append(
            TimedText(
                start_seconds=event.start / 1000,
                end_seconds=event.end / 1000,
                text=_unescape(text),
                place=f"{path}:{number}",
                speaker=(voice[1] or voice[2]).strip() if voice else None,
            )
        )
    return build_tier(path.name, texts, "subtitle", broken)


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
        first = next((index for index, line in enumerate(lines) if _ARROW in line), len(lines))
        kept.append("\n".join([""] * first + lines[first:]) if block.strip() else block)
    return "".join(kept)


def _blank_subtitle(lines: list[str], number: int, arrows: Collection[int]) -> None:
    """Empty the lines of a subtitle in place: the line with its times (`number`, from 1), its number and its text.

    It ends before an empty line, or before the next subtitle, whose lines with times are `arrows`.
    """
    index = number - 1
    if index > 0 and lines[index - 1].strip().isdigit():
        lines[index - 1] = ""
    following = min((other for other in arrows if other > number), default=len(lines) + 1) - 1
    if following < len(lines) and lines[following - 1].strip().isdigit():
        following -= 1
    while index < following and lines[index].strip():
        lines[index] = ""
        index += 1


def _unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
