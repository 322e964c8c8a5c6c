# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The realtime protocol: settings, messages, and the limits of a session."""

import asyncio
import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

from mu2slam_hf.serving.errors import ApiError
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.live_protocol import LiveSettings, decode_samples, read_message, read_settings
from mu2slam_hf.serving.live_session import LiveSession


def update(models, **given):
    before = LiveSettings(model=models.models["default"])
    return read_settings({"type": "transcription", "audio": {"input": given}}, before, models)


def test_settings(models):
    before = LiveSettings(model=models.models["default"], language="fr", delay="low", pause_seconds=None)
    assert read_settings({}, before, models) == read_settings(None, before, models) == before
    settings = update(
        models,
        format={"type": "audio/pcm", "rate": 16000},
        transcription={"model": "other", "language": "Spanish", "delay": "high"},
        turn_detection={"type": "server_vad", "silence_duration_ms": 700},
    )
    assert settings.model.name == "other" and settings.language == "es" and settings.step_seconds == 1.0
    assert settings.rate == 16000 and settings.pause_seconds == 0.7
    described = settings.describe("sess_1")["audio"]["input"]
    assert described["transcription"] == {"model": "other", "language": "es", "delay": "high"}
    assert described["turn_detection"] == {"type": "server_vad", "silence_duration_ms": 700}
    assert update(models, turn_detection=None).describe("sess_1")["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        ({"format": {"type": "audio/pcmu"}}, "invalid_value", "expected audio/pcm, 16 bits"),
        ({"format": {"rate": 8000}}, "invalid_value", "with a rate of 16000 or 24000"),
        ({"format": []}, "invalid_value", "format: expected an object"),
        ({"transcription": {"model": "gone"}}, "model_not_found", "there is no 'gone' here"),
        ({"transcription": {"language": "tlh"}}, "unsupported_language", "tlh"),
        ({"transcription": {"delay": "never"}}, "invalid_value", "expected one of minimal"),
        ({"turn_detection": {"type": "semantic_vad"}}, "invalid_value", "expected null, or server_vad"),
        ({"turn_detection": {"type": "server_vad", "silence_duration_ms": "x"}}, "invalid_value", "server_vad"),
        (
            {"turn_detection": {"type": "server_vad", "silence_duration_ms": 1}},
            "invalid_value",
            "expected 200 to 5000",
        ),
    ],
)
def test_settings_that_are_not_accepted(models, given, code, sentence):
    with pytest.raises(ApiError) as caught:
        update(models, **given)
    assert caught.value.code == code and sentence in str(caught.value)


def test_sessions_of_other_types(models):
    with pytest.raises(ApiError, match="session.type: expected transcription"):
        read_settings({"type": "realtime"}, LiveSettings(model=models.models["default"]), models)


def test_messages():
    assert read_message('{"type": "a"}') == {"type": "a"}
    for text in ("", "[1]", '{"type": 1}', "{", "[" * 100_000):
        with pytest.raises(ApiError, match="Expected a JSON object with a type"):
            read_message(text)
    samples = np.array([0, 16384, -32768], dtype="<i2")
    message = {"audio": base64.b64encode(samples.tobytes()).decode()}
    assert decode_samples(message).tolist() == [0.0, 0.5, -1.0] and decode_samples({}).tolist() == []
    for audio in ("%", "AAA", "AA==", 7, None, ["AAAA"]):
        with pytest.raises(ApiError, match="audio: expected base64 of samples of 16 bits"):
            decode_samples({"audio": audio})


class Socket:
    """A client that sends messages, then nothing more."""

    def __init__(self, *messages):
        self.messages, self.sent, self.closed = list(messages), [], None

    async def receive(self):
        if not self.messages:
            await asyncio.sleep(60)
        return self.messages.pop(0)

    async def send_json(self, content):
        self.sent.append(content)

    async def close(self, code, reason):
        self.closed = code


def run(models, socket, **limits):
    scheduler = SimpleNamespace(sampling_rate_of=lambda model: 16_000)
    asyncio.run(LiveSession(socket, models, scheduler, ServingLimits(**limits)).run())
    return [message["type"] for message in socket.sent]


def test_a_session_that_is_idle_or_long_is_closed(models):
    socket = Socket()
    assert run(models, socket, idle_seconds=0.05) == ["session.created"] and socket.closed == 1001
    text = {"type": "websocket.receive", "text": json.dumps({"type": "input_audio_buffer.clear"})}
    socket = Socket(text)
    assert run(models, socket, session_seconds=0.05) == ["session.created", "input_audio_buffer.cleared"]
    assert socket.closed == 1000


def test_errors_do_not_end_a_session(models):
    messages = [
        {"type": "websocket.receive", "bytes": b"\0"},
        {"type": "websocket.receive", "text": '{"type": "response.create"}'},
        {"type": "websocket.receive", "text": '{"type": "input_audio_buffer.append", "audio": "%"}'},
        {"type": "websocket.receive", "text": '{"type": "session.update", "session": {"type": "realtime"}}'},
        {"type": "websocket.receive", "text": '{"type": "input_audio_buffer.commit"}'},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    socket = Socket(*messages)
    assert run(models, socket) == ["session.created"] + ["error"] * 4 and socket.closed is None
    assert [message["error"]["code"] for message in socket.sent[1:]] == ["invalid_message"] + ["invalid_value"] * 3
