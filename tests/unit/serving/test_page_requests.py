# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The answers of the page without a browser and without a model."""

import asyncio
import json
import logging

import numpy as np
import pytest
import soundfile as sf

from mu2slam_hf.inference.formats.transcripts import format_transcript
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.serving.admission import Admission
from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.page_requests import DOCUMENTS, PageRequests, draw_recording, write_documents
from mu2slam_hf.serving.scheduler import RecognitionScheduler


@pytest.fixture
def ask(models, tmp_path):
    """Runs a step, a coroutine of the answers, while the scheduler runs."""

    def call(step, limits=None):
        limits, metrics = limits or ServingLimits(), ServingMetrics()
        scheduler = RecognitionScheduler(list(models.models.values()), limits, metrics)
        scheduler.start()
        requests = PageRequests(models, scheduler, limits, Admission(limits, scheduler, metrics), metrics)
        try:
            return asyncio.run(asyncio.wait_for(step(requests), 20)), metrics.format().decode()
        finally:
            scheduler.close()

    return call


@pytest.fixture
def record(tmp_path):
    def write(content):
        file = tmp_path / "clip.wav"
        file.write_text(content)
        return str(file)

    return write


def test_a_transcript(ask, record, caplog):
    caplog.set_level(logging.INFO, "mu2slam_hf.serving")
    file = record("hola mundo")
    transcript, metrics = ask(lambda requests: requests.transcribe(file, model="default", target="English"))
    assert transcript.text == "hola mundo" and transcript.translation("en") == "en-hola en-mundo"
    assert 'mu2slam_requests_total{code="",endpoint="page",status="200"} 1.0' in metrics
    (line,) = [json.loads(record.message) for record in caplog.records]
    assert (line["status"], line["model"], line["audio_seconds"], line["language"]) == (200, "default", 2.0, "es")
    assert "hola" not in caplog.text
    # Into the spoken language: nothing to translate.
    transcript, _ = ask(lambda requests: requests.transcribe(file, model="default", source="en", target="en"))
    assert transcript.segments[0].translations == {}


@pytest.mark.parametrize(
    ("content", "options", "code", "sentence"),
    [
        (None, {}, "missing_field", "choose a recording"),
        ("hola", {"model": "gone"}, "model_not_found", "expected one of default, other"),
        ("hola", {"source": "tlh"}, "unsupported_language", "tlh"),
        ("hola", {"target": "und"}, "unsupported_language", "expected a language to translate into"),
        ("hola", {"model": "other", "target": "en"}, "invalid_value", "cannot translate"),
        ("broken", {}, "unreadable_audio", "clip.wav: cannot be decoded"),
        ("a b c d", {}, "audio_too_long", "divide it"),
        ("crash", {}, "internal_error", "its log gives the reason under"),
    ],
)
def test_errors_of_recordings(ask, record, content, options, code, sentence):
    async def fail(requests):
        with pytest.raises(ApiError, match=sentence) as caught:
            await requests.transcribe(content and record(content), **{"model": "default", **options})
        return caught.value

    error, metrics = ask(fail, ServingLimits(audio_seconds=3.0))
    assert error.code == code
    assert f'mu2slam_requests_total{{code="{code}",endpoint="page",status="{error.status}"}} 1.0' in metrics


def test_a_text_is_translated_line_by_line(ask, log):
    text = "\n".join(["  una  frase ", "", *(f"w{number}" for number in range(20))])
    translated, _ = ask(lambda requests: requests.translate(text, model="default", source="es", target="fr"))
    lines = translated.split("\n")
    assert lines[:3] == ["fr-una frase", "", "fr-w0"] and len(lines) == 22
    assert [(len(texts), *languages) for texts, *languages in log.texts] == [(16, "es", "fr"), (6, "es", "fr")]
    translated, _ = ask(lambda requests: requests.translate("x", model="default", target="fr"))
    assert translated == "fr-x" and log.texts[-1] == (["x"], None, "fr")


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (" \n", {"target": "fr"}, "missing_field"),
        ("x" * 101, {"target": "fr"}, "text_too_large"),
        ("x", {"source": "fr", "target": "French"}, "invalid_value"),
        ("x", {"target": ""}, "unsupported_language"),
        ("x", {"target": "fr", "model": "other"}, "invalid_value"),
        ("poison", {"target": "fr"}, "internal_error"),
    ],
)
def test_errors_of_texts(ask, text, options, code):
    async def fail(requests):
        with pytest.raises(ApiError) as caught:
            await requests.translate(text, **{"model": "default", **options})
        return caught.value.code

    assert ask(fail, ServingLimits(field_bytes=100))[0] == code


def test_requests_are_counted_with_those_of_the_api(ask, record, log):
    file = record("hola")

    async def step(requests):
        log.may_run.clear()
        first = asyncio.create_task(requests.transcribe(file, model="default", client="a"))
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="You have 1 requests already"):
            await requests.translate("x", model="default", target="en", client="a")
        log.may_run.set()
        return (await first).text

    text, metrics = ask(step, ServingLimits(client_requests=1))
    assert text == "hola" and "mu2slam_active_requests 0.0" in metrics


def make_transcript():
    segment = {"start_seconds": 0.0, "end_seconds": 1.0, "text": "hola", "language": "es"}
    return Transcript(
        segments=(TranscriptSegment(**segment, translations={"en": "hello"}),), duration_seconds=2.0, language="es"
    )


def test_documents_are_those_of_the_formats(tmp_path):
    transcript = make_transcript()
    files = write_documents(transcript, tmp_path, "clip.wav")
    assert [file.name for file in files] == [
        "clip.srt",
        "clip.en.srt",
        "clip.vtt",
        "clip.en.vtt",
        "clip.json",
        "clip.TextGrid",
        "clip.tsv",
    ]
    contents = {file.name: file.read_text() for file in files}
    assert contents["clip.srt"] == format_transcript(transcript, "srt") and "hello" in contents["clip.en.srt"]
    assert contents["clip.tsv"].splitlines()[0].split("\t")[-1] == "en"
    assert json.loads(contents["clip.json"])["file"] == "clip.wav"
    silence = write_documents(Transcript(segments=(), duration_seconds=2.0, language="und"), tmp_path, "silence.wav")
    assert len(silence) == len(DOCUMENTS) and all(file.is_file() for file in silence)


def test_a_picture_shows_the_beginning_of_a_long_recording(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    file = tmp_path / "clip.wav"
    sf.write(file, np.zeros(16000 * 4), 16000)
    shown = {}
    monkeypatch.setattr("mu2slam_hf.serving.page_requests.PICTURE_SECONDS", 1.0)
    monkeypatch.setattr(
        "mu2slam_hf.serving.page_requests.plot_recording",
        lambda waveform, *args, **options: shown.update(options, num_samples=len(waveform)),
    )
    draw_recording(file, make_transcript(), tmp_path / "clip.png")
    assert shown["num_samples"] == 16000 and shown["title"] == "clip.wav, the first 1 s"
    monkeypatch.undo()
    draw_recording(file, make_transcript(), tmp_path / "clip.png")
    assert (tmp_path / "clip.png").read_bytes().startswith(b"\x89PNG")
