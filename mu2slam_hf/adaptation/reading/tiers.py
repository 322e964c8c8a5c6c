# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Texts with times, in tiers: what their names say, and which translation belongs to which utterance."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mu2slam_hf.adaptation.reading.read_data import Finding
from mu2slam_hf.data.clock import clock
from mu2slam_hf.models.language_codes import canonical_language


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

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return self.end_seconds - self.start_seconds


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


def build_tier(
    name: str, texts: Sequence[TimedText], kind: str, broken: Iterable[Finding] = (), **attributes: str | None
) -> AnnotationTier:
    """A tier of texts, of which those that end before they start are findings.

    Args:
        name: name of the tier.
        texts: in any order.
        kind: what the file calls a text, for messages.
        broken: findings of the reader.
        **attributes: further attributes of the tier.
    """
    findings = [
        Finding(
            kind="broken_row",
            place=timed.place,
            message=f"the {kind} ({timed.text[:40]!r}) ends at {clock(timed.end_seconds)}, not after its start",
        )
        for timed in texts
        if timed.end_seconds <= timed.start_seconds
    ]
    usable = (timed for timed in texts if timed.end_seconds > timed.start_seconds)
    return AnnotationTier(
        name=name,
        texts=tuple(sorted(usable, key=lambda timed: timed.start_seconds)),
        broken=(*broken, *findings),
        **attributes,
    )


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


# Names in common use, also those of Toolbox and FLEx (tx, ft, ge, mb, ps).
_TRANSCRIPT_WORDS = frozenset(
    """
    tx txt text texte texto transcript transcription transcripcion transcr utterance utterances utt sentence sentences
    phrase phrases orthography orth ortho speech spoken
    """.split()
)
_TRANSLATION_WORDS = frozenset("ft fte translation translations trans traduction traduccion traducao free".split())
_OTHER_WORDS = frozenset(
    """
    note notes comment comments commentaire gloss glosses gls ge gl mb morph morphs morpheme morphemes ps pos word
    words wd mot mots phone phones phoneme phonemes ipa ref id segment segments
    """.split()
)
# Names of languages in themselves, where the code tables have the English one only.
_OWN_NAMES = {
    "fr": "fran\u00e7ais francais",
    "es": "espa\u00f1ol espanol castellano",
    "pt": "portugu\u00eas portugues",
    "de": "deutsch",
    "ru": "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "id": "bahasa indonesia",
    "it": "italiano",
    "en": "anglais ingl\u00e9s ingles",
}
_LANGUAGES_BY_OWN_NAME = {word: code for code, words in _OWN_NAMES.items() for word in words.split()}


def base_name(tier: AnnotationTier) -> str:
    """The name of a tier without its speaker: `tx` of `tx@Anna`, and of `tx-Anna` if Anna is its participant."""
    name = tier.name
    if tier.participant:
        without = re.sub(re.escape(tier.participant), "", name, flags=re.IGNORECASE)
        name = without.replace("@", "").strip(" _-.:") or name
    return (name.split("@")[0] if "@" in name[1:] else name).strip()


def tier_speaker(tier: AnnotationTier) -> str | None:
    """The participant of a tier, or what follows `@` in its name."""
    if tier.participant:
        return tier.participant.strip() or None
    suffix = tier.name.partition("@")[2] if "@" in tier.name[1:] else ""
    return suffix.strip() or None


def is_named(tier: AnnotationTier, wanted: str) -> bool:
    """Whether a name that a user gives is that of a tier, with or without the speaker, or of its linguistic type."""
    names = (tier.name, base_name(tier), tier.type_name or "")
    return wanted.strip().lower() in (name.strip().lower() for name in names)


def is_in_language(tier: AnnotationTier, lang: str) -> bool:
    """Whether a tier states a language, or its name has the code or the name of the language as one of its words."""
    if tier.lang:
        return _is_language(tier.lang, lang)
    return any(_is_language(word, lang) for word in _words(tier))


def has_transcript_name(tier: AnnotationTier) -> bool:
    """Whether a tier has one of the usual names of transcripts."""
    return bool(_words(tier) & _TRANSCRIPT_WORDS) and not has_translation_name(tier)


def has_translation_name(tier: AnnotationTier) -> bool:
    """Whether a tier has one of the usual names of translations."""
    return bool(_words(tier) & _TRANSLATION_WORDS)


def has_other_name(tier: AnnotationTier) -> bool:
    """Whether a tier has a usual name of something else: notes, glosses, words, phones."""
    return bool(_words(tier) & _OTHER_WORDS)


def _words(tier: AnnotationTier) -> set[str]:
    return set(re.findall(r"[^\W_]+", base_name(tier).lower()))


def _is_language(word: str, lang: str) -> bool:
    code = _LANGUAGES_BY_OWN_NAME.get(word.lower())
    if code is None:
        try:
            code = canonical_language(word)
        except ValueError:
            return False
    return code.split("-")[0] == lang.split("-")[0]


# A translation belongs to an utterance if at least this share of each lies within the other.
_MIN_OVERLAP = 0.5


def pair_translations(
    utterances: Sequence[TimedText], translations: Sequence[TimedText]
) -> tuple[dict[int, str], list[TimedText]]:
    """Assign translations to utterances.

    Each translation goes to the utterance that shares most time with it, if that is at least half of the translation;
    several for one utterance are joined. They are used if together they cover at least half of the utterance.

    Args:
        utterances: by start time.
        translations: by start time.

    Returns:
        position of an utterance -> its translation; and the translations that fit none.

    Choice: a translation of several utterances is not divided, since nothing tells where.
    """
    starts = [utterance.start_seconds for utterance in utterances]
    longest = max((utterance.duration_seconds for utterance in utterances), default=0.0)
    assigned: dict[int, list[TimedText]] = {}
    unmatched: list[TimedText] = []
    for translation in translations:
        if not translation.text.strip():
            continue
        first = bisect_left(starts, translation.start_seconds - longest)
        last = bisect_left(starts, translation.end_seconds)
        best = max(
            range(first, last), key=lambda index: (_shared(utterances[index], translation), -index), default=None
        )
        if best is None or _shared(utterances[best], translation) < _MIN_OVERLAP * translation.duration_seconds:
            unmatched.append(translation)
        else:
            assigned.setdefault(best, []).append(translation)
    texts: dict[int, str] = {}
    for index, parts in assigned.items():
        covered = sum(_shared(utterances[index], part) for part in parts)
        if covered < _MIN_OVERLAP * utterances[index].duration_seconds:
            unmatched += parts
        else:
            texts[index] = " ".join(part.text.strip() for part in parts)
    return texts, sorted(unmatched, key=lambda timed: timed.start_seconds)


def _shared(first: TimedText, second: TimedText) -> float:
    """Seconds that two texts have in common."""
    start = max(first.start_seconds, second.start_seconds)
    return max(0.0, min(first.end_seconds, second.end_seconds) - start)
