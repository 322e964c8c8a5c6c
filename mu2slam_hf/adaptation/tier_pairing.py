# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translations of a tier for the utterances of another one, by their times."""

from bisect import bisect_left
from collections.abc import Sequence

from mu2slam_hf.adaptation.tiers import TimedText

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
    starts = [one.start_seconds for one in utterances]
    longest = max((one.end_seconds - one.start_seconds for one in utterances), default=0.0)
    assigned: dict[int, list[TimedText]] = {}
    unmatched: list[TimedText] = []
    for translation in translations:
        if not translation.text.strip():
            continue
        first = bisect_left(starts, translation.start_seconds - longest)
        last = bisect_left(starts, translation.end_seconds)
        best = max(
            range(first, last), key=lambda place: (_shared(utterances[place], translation), -place), default=None
        )
        length = translation.end_seconds - translation.start_seconds
        if best is None or _shared(utterances[best], translation) < _MIN_OVERLAP * length:
            unmatched.append(translation)
        else:
            assigned.setdefault(best, []).append(translation)
    texts: dict[int, str] = {}
    for place, own in assigned.items():
        utterance = utterances[place]
        covered = sum(_shared(utterance, one) for one in own)
        if covered < _MIN_OVERLAP * (utterance.end_seconds - utterance.start_seconds):
            unmatched += own
        else:
            texts[place] = " ".join(one.text.strip() for one in own)
    return texts, sorted(unmatched, key=lambda one: one.start_seconds)


def _shared(first: TimedText, second: TimedText) -> float:
    """Seconds that two texts have in common."""
    start = max(first.start_seconds, second.start_seconds)
    return max(0.0, min(first.end_seconds, second.end_seconds) - start)
