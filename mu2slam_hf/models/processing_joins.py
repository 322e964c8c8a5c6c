# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Words and segments at the borders of windows: what two windows have heard is kept once, times are in order."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from .processing_alignment import AlignedWord
from .processing_transcripts import TranscriptSegment


def join_words(words: Sequence[AlignedWord]) -> str:
    """The text of words or tokens, with spaces where words begin."""
    return "".join((" " if word.begins_word else "") + word.text for word in words).strip()


def split_at_cut(
    earlier: Sequence[AlignedWord], later: Sequence[AlignedWord], cut_seconds: float
) -> tuple[list[AlignedWord], list[AlignedWord]]:
    """Words of two overlapping windows, those of the overlap once.

    The windows are separated where fewest words of either are cut in two, then where fewest words are lost that only
    one of them has, then close to the cut.

    Args:
        earlier: words of the first window, in order, with times in the recording.
        later: words of the second window.
        cut_seconds: where the recording was cut.

    Returns:
        the words of the first window before the separation, and those of the second one after it.
    """
    overlap_start = min(later[0].start_seconds, cut_seconds) - 0.5
    overlap_stop = max(earlier[-1].end_seconds, cut_seconds) + 0.5

    def cost(place: float) -> tuple[int, int, float]:
        halved = sum(word.start_seconds < place < word.end_seconds for word in (*earlier, *later))
        kept, rest = _split(earlier, later, place)
        # Nor are tokens of a word separated, except in languages without spaces.
        halved += sum(not word.begins_word for word in (*earlier[len(kept) :][:1], *rest[:1]))
        # The others of a window do not overlap with a word that it loses.
        lost = sum(not any(_touch(word, other) for other in rest) for word in earlier[len(kept) :])
        lost += sum(not any(_touch(word, other) for other in kept) for word in later[: len(later) - len(rest)])
        return halved, lost, abs(place - cut_seconds)

    edges = [edge for word in (*earlier, *later) for edge in (word.start_seconds, word.end_seconds)]
    places = [cut_seconds, *(edge for edge in edges if overlap_start <= edge <= overlap_stop)]
    kept, rest = _split(earlier, later, min(places, key=cost))
    # The same word on both sides of the separation, because the windows disagree about its time.
    if kept and rest and kept[-1].text == rest[0].text and rest[0].start_seconds < kept[-1].end_seconds:
        rest = rest[1:]
    return kept, rest


def _split(
    earlier: Sequence[AlignedWord], later: Sequence[AlignedWord], place: float
) -> tuple[list[AlignedWord], list[AlignedWord]]:
    """Words of the first window whose middle is before a place, and words of the second one from there on."""
    kept = [word for word in earlier if word.start_seconds + word.end_seconds < 2 * place]
    rest = [word for word in later if word.start_seconds + word.end_seconds >= 2 * place]
    return kept, rest


def _touch(first: AlignedWord, second: AlignedWord) -> bool:
    """Whether two words overlap in time."""
    return first.start_seconds < second.end_seconds and second.start_seconds < first.end_seconds


def without_overlap(segments: Sequence[TranscriptSegment]) -> list[TranscriptSegment]:
    """Segments by start, none before the end of the previous one of its channel; words likewise."""
    ordered: list[TranscriptSegment] = []
    ends: dict[int | None, float] = defaultdict(float)
    for segment in sorted(segments, key=lambda segment: segment.start_seconds):
        start = max(segment.start_seconds, ends[segment.channel])
        words = []
        end = start
        for word in segment.words:
            first = max(word.start_seconds, end)
            end = max(word.end_seconds, first)
            words.append(replace(word, start_seconds=first, end_seconds=end))
        ends[segment.channel] = end = max(segment.end_seconds, end)
        ordered.append(replace(segment, start_seconds=start, end_seconds=end, words=tuple(words)))
    return ordered
