# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Texts with times: what ELAN, Praat and subtitle files have in common."""

from dataclasses import dataclass, field
from pathlib import Path

from mu2slam_hf.adaptation.findings import Finding


class AnnotationFileError(ValueError):
    """A file with annotations that cannot be read; the message has the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class TimedText:
    """A text with its time in a recording.

    Attributes:
        start_seconds: start.
        end_seconds: end, later than the start.
        text: the text as it is in the file; empty for a stretch that is marked but not transcribed.
        place: file, tier and time, or file and line, for messages.
        speaker: name of the speaker where the text itself has one (WebVTT); else None.
    """

    start_seconds: float
    end_seconds: float
    text: str
    place: str
    speaker: str | None = None


@dataclass(frozen=True, kw_only=True)
class AnnotationTier:
    """Texts of one kind, such as the transcript of a speaker.

    Attributes:
        name: name of the tier.
        texts: by start time.
        participant: speaker of the tier; None if the file has none.
        parent: name of the tier that this one is a part of; None for a tier of its own.
        type_name: linguistic type (ELAN); None in other formats.
        lang: language that the file states, as it is written there; None if it states none.
        broken: annotations of the tier that cannot be used.
    """

    name: str
    texts: tuple[TimedText, ...]
    participant: str | None = None
    parent: str | None = None
    type_name: str | None = None
    lang: str | None = None
    broken: tuple[Finding, ...] = ()

    @property
    def has_text(self) -> bool:
        """Whether at least one of its texts is not empty."""
        return any(timed.text.strip() for timed in self.texts)


@dataclass(frozen=True, kw_only=True)
class AnnotationFile:
    """A file with annotations.

    Attributes:
        path: the file.
        tiers: its tiers with at least one annotation, in the order of the file.
        media: names of the recordings that the file states -> seconds to add to all times for that recording.
    """

    path: Path
    tiers: tuple[AnnotationTier, ...]
    media: dict[str, float] = field(default_factory=dict)
