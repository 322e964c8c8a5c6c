# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Choice of the tiers with the transcript and its translations."""

from collections.abc import Sequence
from dataclasses import dataclass

from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.adaptation.reading.tiers import (
    AnnotationTier,
    base_name,
    has_other_name,
    has_transcript_name,
    has_translation_name,
    is_in_language,
    is_named,
    tier_speaker,
)

_SHOWN_CHARACTERS = 30


class TierChoiceError(ValueError):
    """The transcript is not clear; the message lists the tiers."""


@dataclass(frozen=True, kw_only=True)
class ChosenTier:
    """A transcript with its translations.

    Attributes:
        transcript: the tier with the transcript.
        translations: target language -> its tier.
        reason: why the transcript was chosen, for the report.
    """

    transcript: AnnotationTier
    translations: dict[str, AnnotationTier]
    reason: str


def choose_tiers(tiers: Sequence[AnnotationTier], options: ReadingOptions) -> list[ChosenTier]:
    """Choose the transcripts (one for each speaker) of a file and their translations.

    The transcript is the first of these that exists: the tiers that the options name; those in the language, by their
    stated language or their name; those with a usual name; the only ones left without translations and notes, also
    several with one speaker each; the only tier of its own; the only tier with text.

    A translation is the first of these: the tier that the options name; a tier in the language; and if there is one
    target language only, a tier with a usual name of translations, then the only other tier that is a part of the
    transcript. Among several, those that are a part of the transcript or have its speaker are preferred.

    Args:
        tiers: tiers of the file.
        options: names and languages.

    Raises:
        TierChoiceError: none of the above, or several where one is expected.
    """
    if not tiers:
        raise TierChoiceError("has no annotations")
    transcripts, reason = _find_transcripts(tiers, options)
    return [
        ChosenTier(transcript=tier, translations=_find_translations(tier, transcripts, tiers, options), reason=reason)
        for tier in transcripts
    ]


def _find_transcripts(tiers: Sequence[AnnotationTier], options: ReadingOptions) -> tuple[list[AnnotationTier], str]:
    if options.tiers:
        named = [tier for tier in tiers if any(is_named(tier, name) for name in options.tiers)]
        if not named:
            raise TierChoiceError(f"has no tier {' or '.join(options.tiers)}; it has {describe_tiers(tiers)}")
        return named, "as given"

    def is_translation(tier: AnnotationTier) -> bool:
        others = (lang for lang in options.target_langs if not is_in_language(tier, options.lang))
        named = any(is_named(tier, name) for name in options.translation_tiers.values())
        return named or has_translation_name(tier) or any(is_in_language(tier, lang) for lang in others)

    rest = [tier for tier in tiers if not is_translation(tier)]
    plain = [tier for tier in rest if not has_other_name(tier)]
    own = [tier for tier in tiers if tier.parent is None]
    rules: list[tuple[list[AnnotationTier], str]] = [
        ([tier for tier in plain if is_in_language(tier, options.lang)], f"its name or language is {options.lang}"),
        ([tier for tier in rest if is_in_language(tier, options.lang)], f"its name or language is {options.lang}"),
        ([tier for tier in plain if has_transcript_name(tier)], "its name is usual for transcripts"),
        (plain, "no other tier may be the transcript"),
        (rest, "no other tier may be the transcript"),
        ([tier for tier in own if tier in rest], "the only tier that is no part of another one"),
        ([tier for tier in tiers if tier.has_text], "the only tier with text"),
    ]
    for candidates, reason in rules:
        if len(candidates) == 1 or _are_of_speakers(candidates):
            return candidates, reason
    raise TierChoiceError(
        f"has several tiers, and none is clearly the transcript in {options.lang}: {describe_tiers(tiers)}"
    )


def _are_of_speakers(tiers: Sequence[AnnotationTier]) -> bool:
    """Whether tiers are the same thing for several speakers: each has another one, and all have one kind."""
    speakers = [tier_speaker(tier) for tier in tiers]
    if len(tiers) < 2 or None in speakers or len(set(speakers)) < len(tiers):
        return False
    kinds = {base_name(tier).lower() for tier in tiers if base_name(tier) != tier.name}
    types = {tier.type_name for tier in tiers}
    parents = {tier.parent is None for tier in tiers}
    return len(kinds) <= 1 and len(types) == 1 and len(parents) == 1


def _find_translations(
    transcript: AnnotationTier,
    transcripts: Sequence[AnnotationTier],
    tiers: Sequence[AnnotationTier],
    options: ReadingOptions,
) -> dict[str, AnnotationTier]:
    others = [tier for tier in tiers if tier not in transcripts]
    translations = {}
    for lang in options.target_langs:
        given = options.translation_tiers.get(lang)
        if given:
            rules = [[tier for tier in others if is_named(tier, given)]]
        else:
            rules = [[tier for tier in others if is_in_language(tier, lang)]]
        if len(options.target_langs) == 1 and not given:
            rules.append([tier for tier in others if has_translation_name(tier)])
            parts = (tier for tier in others if _is_part_of(tier, transcript, tiers))
            rules.append([tier for tier in parts if not has_other_name(tier)])
        for candidates in rules:
            chosen = _narrow(candidates, transcript, transcripts, tiers)
            if len(chosen) == 1:
                translations[lang] = chosen[0]
                break
    return translations


def _narrow(
    candidates: list[AnnotationTier],
    transcript: AnnotationTier,
    transcripts: Sequence[AnnotationTier],
    tiers: Sequence[AnnotationTier],
) -> list[AnnotationTier]:
    """Of several tiers those of this transcript; none that belong to the transcript of another speaker."""
    speaker = tier_speaker(transcript)
    candidates = [
        tier
        for tier in candidates
        if not any(other is not transcript and _is_part_of(tier, other, tiers) for other in transcripts)
        and (len(transcripts) == 1 or tier_speaker(tier) in (None, speaker))
    ]
    for condition in (
        lambda tier: _is_part_of(tier, transcript, tiers),
        lambda tier: speaker is not None and tier_speaker(tier) == speaker,
        lambda tier: not has_other_name(tier),
        has_translation_name,
    ):
        if len(candidates) > 1:
            candidates = [tier for tier in candidates if condition(tier)] or candidates
    return candidates


def _is_part_of(tier: AnnotationTier, other: AnnotationTier, tiers: Sequence[AnnotationTier]) -> bool:
    """Whether a tier descends from another one, or both from the same tier (`tx` and `ft` below `ref`)."""
    parents = {tier.name: tier.parent for tier in tiers}
    above: list[str] = []
    parent = tier.parent
    while parent is not None and parent not in above:
        above.append(parent)
        parent = parents.get(parent)
    return other.name in above or (other.parent is not None and other.parent in above)


def describe_tiers(tiers: Sequence[AnnotationTier]) -> str:
    """Names of tiers with their number of texts and an example, for messages."""
    described = []
    for tier in tiers:
        example = next((timed.text.strip() for timed in tier.texts if timed.text.strip()), "")
        if len(example) > _SHOWN_CHARACTERS:
            example = f"{example[:_SHOWN_CHARACTERS]}..."
        described.append(f"{tier.name!r} ({len(tier.texts)} annotations" + (f", {example!r})" if example else ")"))
    return ", ".join(described)
