# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts in the formats of OpenAI's API: JSON, documents, and events of a stream."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from mu2slam_hf.inference.formats.transcripts import format_transcript
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.serving.transcription_request import DOCUMENTS, AudioRequest


def format_response(transcript: Transcript, request: AudioRequest) -> tuple[str, str]:
    """The body of a response and its media type."""
    if request.response_format in DOCUMENTS:
        kind = "text/vtt" if request.response_format == "vtt" else "text/plain"
        name, target_lang = DOCUMENTS[request.response_format], request.target_lang
        target_langs = [target_lang] if target_lang else []
        return format_transcript(transcript, name, target_lang=target_lang, target_langs=target_langs), kind
    content = describe_text(transcript, request)
    if request.response_format == "verbose_json":
        content = _describe_verbosely(transcript, request)
    return json.dumps(content, ensure_ascii=False), "application/json"


def describe_text(transcript: Transcript, request: AudioRequest) -> dict[str, Any]:
    """The text with the languages that were recognised; those of a recording without speech are none."""
    languages = dict.fromkeys(segment.language for segment in transcript.segments)
    return {
        "text": transcript.text if request.target_lang is None else transcript.translation(request.target_lang),
        "languages": [{"code": code} for code in languages],
        "usage": _describe_usage(transcript),
    }


def format_event(content: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _describe_usage(transcript: Transcript) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(transcript.duration_seconds, 3)}


def _describe_verbosely(transcript: Transcript, request: AudioRequest) -> dict[str, Any]:
    content = {
        "task": "translate" if request.translates else "transcribe",
        "language": request.target_lang or transcript.language,
        "duration": round(transcript.duration_seconds, 3),
        **describe_text(transcript, request),
    }
    if "segment" in request.granularities:
        content["segments"] = [
            _describe_segment(number, segment, request) for number, segment in enumerate(transcript.segments)
        ]
    if "word" in request.granularities:
        content["words"] = [
            {
                "word": word.text,
                "start": round(word.start_seconds, 3),
                "end": round(word.end_seconds, 3),
                "confidence": None if word.confidence is None else round(word.confidence, 4),
            }
            for word in transcript.words
        ]
    return content


def _describe_segment(number: int, segment: TranscriptSegment, request: AudioRequest) -> dict[str, Any]:
    """A segment with all fields that OpenAI's has; what the model does not know is null."""
    text = segment.text if request.target_lang is None else segment.translations.get(request.target_lang, "")
    scores = [word.score for word in segment.words if word.score is not None]
    data = text.encode()
    no_speech = segment.no_speech_probability
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start_seconds, 3),
        "end": round(segment.end_seconds, 3),
        "text": text,
        "tokens": request.model.tokenize(text),
        "temperature": 0.0,
        "avg_logprob": round(sum(scores) / len(scores), 4) if scores else None,
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
        "no_speech_prob": None if no_speech is None else round(no_speech, 4),
        "language": segment.language,
    }
