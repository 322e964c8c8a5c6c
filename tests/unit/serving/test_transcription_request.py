# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every field of a request: what it becomes, or the error with its status, code and sentence."""

import io

import pytest
from starlette.datastructures import FormData, UploadFile

from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.transcription_request import read_request


def upload(content=b"RIFF", name="clip.wav"):
    return UploadFile(io.BytesIO(content), size=len(content), filename=name)


def read(models, *fields, translates=False, file=True, model="default"):
    items = [*([("file", upload())] if file else []), *([("model", model)] if model else []), *fields]
    return read_request(FormData(items), models, translates=translates)


def test_defaults(models):
    request = read(models)
    assert request.model is models.models["default"] and request.upload.filename == request.name == "clip.wav"
    assert request.source_lang is None and request.target_lang is None and request.response_format == "json"
    assert request.granularities == {"segment"} and not request.stream and request.ignored == ()


@pytest.mark.parametrize("text", ["es", "spa", "es-MX", "Spanish", " es "])
def test_a_language_in_any_spelling(models, text):
    assert read(models, ("language", text)).source_lang == "es"


@pytest.mark.parametrize("text", ["", "auto", "und"])
def test_a_language_that_is_predicted(models, text):
    assert read(models, ("language", text)).source_lang is None


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
def test_granularities(models, name):
    fields = [("response_format", "verbose_json"), (name, "word")]
    assert read(models, *fields).granularities == {"word"}
    assert read(models, *fields, (name, "segment")).granularities == {"word", "segment"}


def test_fields_without_effect_are_named(models):
    request = read(models, ("prompt", "Names: Ann"), ("temperature", "0.2"), ("keywords[]", "a"), ("user", ""))
    assert request.ignored == ("temperature", "keywords", "prompt")
    assert read(models, ("temperature", "0"), ("chunking_strategy", "auto"), ("prompt", "")).ignored == ()
    assert read(models, ("stream", "true"), translates=True).ignored == ("stream",)


def test_translations(models):
    request = read(models, translates=True)
    assert request.translates and request.target_lang == "en"
    assert read(models, ("target_language", "French"), translates=True).target_lang == "fr"
    # The transcript is the text in its own language.
    request = read(models, ("language", "en"), translates=True)
    assert request.translates and request.target_lang is None


def test_the_alias_of_clients_that_cannot_change_their_model(models):
    assert read(models, model="whisper-1").model is models.models["default"]
    models._strict = True
    with pytest.raises(ApiError, match="there is no 'whisper-1' here; expected one of default, other"):
        read(models, model="whisper-1")


@pytest.mark.parametrize(
    ("fields", "options", "status", "code", "param", "sentence"),
    [
        ([], {"file": False}, 400, "missing_field", "file", "expected the recording as a file of the form; none"),
        ([("file", "text")], {"file": False}, 400, "missing_field", "file", "expected the recording as a file"),
        ([("file", upload(b""))], {}, 400, "empty_file", "file", "the recording has 0 bytes"),
        ([], {"model": ""}, 400, "missing_field", "model", "expected one of default, other; none came"),
        ([], {"model": "gpt-9"}, 404, "model_not_found", "model", "there is no 'gpt-9' here"),
        ([("model", upload())], {}, 400, "invalid_value", "model", "expected text, but a file came"),
        ([("language", "xx")], {}, 400, "unsupported_language", "language", "language xx: "),
        ([("language", "de")], {}, 400, "unsupported_language", "language", "language de: "),
        ([("response_format", "doc")], {}, 400, "invalid_value", "response_format", "expected one of json, verbose_"),
        ([("response_format", "diarized_json")], {}, 400, "invalid_value", "response_format", "'diarized_json'"),
        ([("timestamp_granularities[]", "word")], {}, 400, "invalid_value", "timestamp_granularities", "verbose_json"),
        (
            [("timestamp_granularities[]", "letter"), ("response_format", "verbose_json")],
            {},
            400,
            "invalid_value",
            "timestamp_granularities",
            "expected segment or word, got 'letter'",
        ),
        ([("stream", "maybe")], {}, 400, "invalid_value", "stream", "expected one of true, 1, false, 0, got 'maybe'"),
        ([("stream", "1"), ("response_format", "srt")], {}, 400, "invalid_value", "stream", "json or text with it"),
        ([("include[]", "logprobs")], {}, 400, "invalid_value", "include", "words of verbose_json have confidences"),
        (
            [("temperature", "hot")],
            {},
            400,
            "invalid_value",
            "temperature",
            "expected a number from 0 to 1, got 'hot'",
        ),
        ([("temperature", "2")], {}, 400, "invalid_value", "temperature", "got '2'"),
        ([("temperature", "nan")], {}, 400, "invalid_value", "temperature", "got 'nan'"),
        ([("chunking_strategy[type]", "server_vad")], {}, 400, "invalid_value", "chunking_strategy", "expected auto"),
        ([], {"translates": True, "model": "other"}, 400, "invalid_value", "model", "other transcribes, but cannot"),
        ([("target_language", "de")], {"translates": True}, 400, "unsupported_language", "target_language", "de: "),
        ([("target_language", "und")], {"translates": True}, 400, "unsupported_language", "target_language", "into"),
    ],
)
def test_errors(models, fields, options, status, code, param, sentence):
    with pytest.raises(ApiError) as caught:
        read(models, *fields, **options)
    error = caught.value
    assert (error.status, error.code, error.param) == (status, code, param) and sentence in str(error)
    body = error.body()["error"]
    assert body == {"message": str(error), "type": "invalid_request_error", "param": param, "code": code}
