# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts of whole recordings: segments with words, times, languages and translations, joined from windows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.models.language_codes import UNDETERMINED


@dataclass(frozen=True, kw_only=True)
class TranscriptSegment:
    """A stretch of speech of one language, between two pauses.

    Attributes:
        start_seconds: start in the recording.
        end_seconds: end in the recording; at least `start_seconds`, at most the start of the next segment of the same
            channel.
        text: the transcript, never empty.
        language: code of the spoken language; `und` if no language is probable enough.
        language_probability: probability of the most probable language; None if the language was given or the model
            has no language head.
        written_language: the language that the text was written in: `language`, or the most probable one if that is
            `und`.
        words: words with times, in order, without overlap; empty if they were not asked for.
        translations: text by target language.
        channel: channel of the recording from 0, None if the channels were mixed.
        no_speech_probability: of the gate of `NoSpeechSettings`; None if it was not calibrated.
    """

    start_seconds: float
    end_seconds: float
    text: str
    language: str
    language_probability: float | None = None
    written_language: str | None = None
    words: tuple[AlignedWord, ...] = ()
    translations: Mapping[str, str] = field(default_factory=dict)
    channel: int | None = None
    no_speech_probability: float | None = None


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """The transcript of a recording.

    Attributes:
        segments: all segments with speech, by start time. A recording without speech has none.
        duration_seconds: length of the recording.
        language: code of the spoken language of the recording, `und` if it has no speech or no language is probable
            enough. With several languages, that of most seconds.
        language_probability: see `TranscriptSegment`.
        written_language: see `TranscriptSegment`.
    """

    segments: tuple[TranscriptSegment, ...]
    duration_seconds: float
    language: str
    language_probability: float | None = None
    written_language: str | None = None

    @property
    def text(self) -> str:
        """The texts of all segments, separated by spaces."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> tuple[AlignedWord, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    def translation(self, target_lang: str) -> str:
        """The translations of all segments into a language, separated by spaces."""
        return " ".join(segment.translations.get(target_lang, "") for segment in self.segments).strip()


def transcript_to_dict(transcript: Transcript) -> dict[str, Any]:
    """Plain JSON types, times in seconds to the millisecond."""
    return {
        "duration_seconds": round(transcript.duration_seconds, 3),
        "language": transcript.language,
        "language_probability": _rounded(transcript.language_probability),
        "written_language": transcript.written_language,
        "text": transcript.text,
        "segments": [_segment_to_dict(segment) for segment in transcript.segments],
    }


def _segment_to_dict(segment: TranscriptSegment) -> dict[str, Any]:
    content: dict[str, Any] = {
        "start": round(segment.start_seconds, 3),
        "end": round(segment.end_seconds, 3),
        "text": segment.text,
        "language": segment.language,
    }
    if segment.language_probability is not None:
        content["language_probability"] = _rounded(segment.language_probability)
    if segment.channel is not None:
        content["channel"] = segment.channel
    if segment.translations:
        content["translations"] = dict(segment.translations)
    if segment.words:
        content["words"] = [
            {
                "word": word.text,
                "start": round(word.start_seconds, 3),
                "end": round(word.end_seconds, 3),
                "confidence": _rounded(word.confidence),
            }
            for word in segment.words
        ]
    return content


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)


def with_words(segment: TranscriptSegment, words: Sequence[AlignedWord], keep_text: bool = False) -> TranscriptSegment:
    """The segment with other words, from the start of the first to the end of the last.

    Args:
        segment: the segment.
        words: the words; if there are none, the segment stays as it is.
        keep_text: whether the text of the segment is that of the words already.
    """
    if not words:
        return segment
    return replace(
        segment,
        words=tuple(words),
        text=segment.text if keep_text else join_words(words),
        start_seconds=words[0].start_seconds,
        end_seconds=words[-1].end_seconds,
    )


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
    indices = [cut_seconds, *(edge for edge in edges if overlap_start <= edge <= overlap_stop)]
    kept, rest = _split(earlier, later, min(indices, key=cost))
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


def join_segments(
    segments: Sequence[TranscriptSegment], duration_seconds: float, source_lang: str | None
) -> Transcript:
    """The transcript of all segments of a recording; its language is that of most of its seconds.

    Args:
        segments: in order.
        duration_seconds: length of the recording.
        source_lang: its language, if it is known.
    """
    seconds: dict[str, float] = defaultdict(float)
    for segment in segments:
        seconds[segment.language] += segment.end_seconds - segment.start_seconds
    language = max(seconds, key=lambda code: seconds[code]) if seconds else UNDETERMINED
    first = next((segment for segment in segments if segment.language == language), None)
    return Transcript(
        segments=tuple(segments),
        duration_seconds=duration_seconds,
        language=language if first or source_lang is None else source_lang,
        language_probability=first.language_probability if first else None,
        written_language=first.written_language if first else None,
    )
