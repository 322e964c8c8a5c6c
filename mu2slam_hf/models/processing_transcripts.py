# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts of whole recordings: segments with their words, times, languages and translations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .processing_alignment import AlignedWord


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
