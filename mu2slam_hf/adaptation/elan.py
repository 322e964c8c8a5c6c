# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of ELAN files (.eaf). Requires the extra `adapt` (pympi-ling)."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from mu2slam_hf.adaptation.findings import Finding
from mu2slam_hf.adaptation.tiers import AnnotationFile, AnnotationFileError, AnnotationTier, TimedText
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
        ImportError: pympi-ling is not installed.
    """
    try:
        from pympi.Elan import Eaf
    except ImportError as error:
        raise ImportError("ELAN files require pympi-ling: pip install 'mu2slam-hf[adapt]'") from error
    try:
        document = Eaf(str(path), suppress_version_warning=True)
        times, media = _annotation_times(document), _media(document)
        tiers = tuple(_read_tier(path, name, content, times) for name, content in document.tiers.items())
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


def _read_tier(path: Path, name: str, content: Any, times: _Times) -> AnnotationTier:
    aligned, references, attributes, _ = content
    texts: list[TimedText] = []
    broken: list[Finding] = []
    for identity, text in [*_aligned_texts(aligned), *_joined_texts(references)]:
        start, end = times[identity]
        where = f"{path}, tier {name!r}"
        if start is None or end is None:
            reason = f"annotation {identity} ({text[:40]!r}) has no time"
            broken.append(Finding(kind="broken_row", place=where, message=reason))
            continue
        place = f"{where}, {clock(start / 1000)}"
        if end <= start:
            reason = f"the annotation ({text[:40]!r}) ends at {clock(end / 1000)}, not after its start"
            broken.append(Finding(kind="broken_row", place=place, message=reason))
            continue
        texts.append(TimedText(start_seconds=start / 1000, end_seconds=end / 1000, text=text, place=place))
    return AnnotationTier(
        name=name,
        texts=tuple(sorted(texts, key=lambda timed: timed.start_seconds)),
        participant=attributes.get("PARTICIPANT") or None,
        parent=attributes.get("PARENT_REF"),
        type_name=attributes.get("LINGUISTIC_TYPE_REF"),
        lang=attributes.get("LANG_REF") or None,
        broken=tuple(broken),
    )


def _aligned_texts(aligned: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for identity, (_, _, text, _) in aligned.items():
        yield identity, text


def _joined_texts(references: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The first annotation of each parent with the texts of all of them, in the order of ELAN's chain."""
    chains: dict[str, list[str]] = {}
    following = {previous: identity for identity, (_, _, previous, _) in references.items() if previous}
    for identity, (parent, _, previous, _) in references.items():
        if previous in references:
            continue
        chain = chains.setdefault(parent, [])
        here: str | None = identity
        while here is not None and len(chain) <= len(references):
            chain.append(here)
            here = following.get(here)
    for chain in chains.values():
        yield chain[0], " ".join(text for text in (references[one][1].strip() for one in chain) if text)


def _media(document: Any) -> dict[str, float]:
    """File names of the linked recordings; the time origin is where the annotation's zero is in the recording."""
    media = {}
    for descriptor in document.media_descriptors:
        address = descriptor.get("RELATIVE_MEDIA_URL") or descriptor.get("MEDIA_URL") or ""
        name = PurePosixPath(unquote(address).replace("\\", "/")).name
        if name:
            media[name] = int(descriptor.get("TIME_ORIGIN") or 0) / 1000
    return media
