# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The bodies of responses: the documents of `mu2slam transcribe`, and OpenAI's JSON."""

import json
from types import SimpleNamespace

import pytest

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.formats.transcripts import format_transcript
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.serving.transcription_request import AudioRequest
from mu2slam_hf.serving.transcription_response import format_event, format_response

WORDS = tuple(
    AlignedWord(text=text, start_seconds=place, end_seconds=place + 0.5, score=score)
    for place, (text, score) in enumerate([("hola", -0.1), ("mundo", -0.3), ("adios", None)])
)
SEGMENTS = tuple(
    TranscriptSegment(
        start_seconds=words[0].start_seconds,
        end_seconds=words[-1].end_seconds,
        text=" ".join(word.text for word in words),
        language="es",
        words=words,
        translations={"en": text},
        no_speech_probability=0.12345,
    )
    for words, text in ((WORDS[:2], "hello world"), (WORDS[2:], "goodbye"))
)
TRANSCRIPT = Transcript(segments=SEGMENTS, duration_seconds=4.0, language="es")
EMPTY = Transcript(segments=(), duration_seconds=2.0, language="und")


def make_request(response_format="json", granularities=("segment",), target_lang=None):
    return AudioRequest(
        upload=None,
        model=SimpleNamespace(tokenize=lambda text: [len(word) for word in text.split()]),
        source_lang=None,
        translates=target_lang is not None,
        target_lang=target_lang,
        response_format=response_format,
        granularities=frozenset(granularities),
        stream=False,
        ignored=(),
    )


@pytest.mark.parametrize("transcript", [TRANSCRIPT, EMPTY], ids=["speech", "silence"])
@pytest.mark.parametrize("target_lang", [None, "en"])
@pytest.mark.parametrize(
    ("name", "own", "kind"),
    [
        ("text", "txt", "text/plain"),
        ("srt", "srt", "text/plain"),
        ("vtt", "vtt", "text/vtt"),
        ("tsv", "tsv", "text/plain"),
        ("textgrid", "textgrid", "text/plain"),
    ],
)
def test_documents_are_those_of_the_command(transcript, target_lang, name, own, kind):
    target_langs = [target_lang] if target_lang else []
    expected = format_transcript(transcript, own, target_lang=target_lang, target_langs=target_langs)
    assert format_response(transcript, make_request(name, target_lang=target_lang)) == (expected, kind)


def read_json(transcript, request):
    content, kind = format_response(transcript, request)
    assert kind == "application/json"
    return json.loads(content)


def test_json():
    usage = {"type": "duration", "seconds": 4.0}
    expected = {"text": "hola mundo adios", "languages": [{"code": "es"}], "usage": usage}
    assert read_json(TRANSCRIPT, make_request()) == expected
    assert read_json(TRANSCRIPT, make_request(target_lang="en"))["text"] == "hello world goodbye"
    assert read_json(EMPTY, make_request()) == {"text": "", "languages": [], "usage": {**usage, "seconds": 2.0}}


def test_verbose_json():
    content = read_json(TRANSCRIPT, make_request("verbose_json", ("segment", "word")))
    assert (content["task"], content["language"], content["duration"]) == ("transcribe", "es", 4.0)
    assert content["words"][0] == {"word": "hola", "start": 0.0, "end": 0.5, "confidence": 0.9048}
    assert content["words"][2]["confidence"] is None
    assert content["segments"][0] == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.5,
        "text": "hola mundo",
        "tokens": [4, 5],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 0.5556,
        "no_speech_prob": 0.1235,
        "language": "es",
    }
    assert content["segments"][1]["avg_logprob"] is None


def test_verbose_json_has_what_is_asked_for():
    assert "words" not in read_json(TRANSCRIPT, make_request("verbose_json"))
    assert "segments" not in read_json(TRANSCRIPT, make_request("verbose_json", ("word",)))
    content = read_json(TRANSCRIPT, make_request("verbose_json", target_lang="en"))
    assert (content["task"], content["language"]) == ("translate", "en")
    assert [segment["text"] for segment in content["segments"]] == ["hello world", "goodbye"]


def test_events():
    assert format_event({"text": "a\nb"}) == 'data: {"text": "a\\nb"}\n\n'
