# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Alignments as plain types, and as transcripts, whose file formats they share."""

from typing import Any

from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.models.processing_alignment import Alignment
from mu2slam_hf.models.processing_transcripts import Transcript, TranscriptSegment


def alignment_to_dict(alignment: Alignment) -> dict[str, Any]:
    """Plain JSON types, times to the millisecond."""
    return {
        "duration_seconds": round(alignment.duration_seconds, 3),
        "score": round(alignment.score, 6),
        "unknown_characters": list(alignment.unknown_characters),
        "words": [
            {
                "word": word.text,
                "start": round(word.start_seconds, 3),
                "end": round(word.end_seconds, 3),
                "confidence": None if word.confidence is None else round(word.confidence, 6),
            }
            for word in alignment.words
        ],
    }


def alignment_to_transcript(alignment: Alignment, text: str, language: str | None = None) -> Transcript:
    """A transcript of one segment, from the first to the last word.

    Args:
        alignment: the aligned words.
        text: the text that was aligned.
        language: the spoken language; None means unknown.
    """
    segment = TranscriptSegment(
        start_seconds=alignment.words[0].start_seconds,
        end_seconds=alignment.words[-1].end_seconds,
        text=" ".join(text.split()),
        language=language or UNDETERMINED,
        words=alignment.words,
    )
    return Transcript(segments=(segment,), duration_seconds=alignment.duration_seconds, language=segment.language)
