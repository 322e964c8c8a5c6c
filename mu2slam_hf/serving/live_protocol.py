# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The messages of OpenAI's realtime protocol for transcription: what clients send, and what sessions are set to."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mu2slam_hf.data.audio import FloatArray
from mu2slam_hf.inference.languages import resolve_source_language
from mu2slam_hf.serving.errors import ApiError, invalid_value
from mu2slam_hf.serving.served_models import ServedModel, ServedModels
from mu2slam_hf.serving.transcription_request import check_language_is_given

RATES = (16_000, 24_000)
# Seconds between two guesses at the words of a growing piece.
_STEPS = {"minimal": 0.25, "low": 0.25, "medium": 0.5, "high": 1.0, "xhigh": 1.0}


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """What a session is set to.

    Attributes:
        model: the model.
        language: spoken language; None means that it is predicted.
        delay: a name of `_STEPS`.
        rate: of the samples that the client sends, in Hz.
        pause_seconds: a pause that ends a piece; None: only `commit` does.
    """

    model: ServedModel
    language: str | None = None
    delay: str = "medium"
    rate: int = 24_000
    pause_seconds: float | None = 0.5

    @property
    def step_seconds(self) -> float:
        """Seconds between two guesses."""
        return _STEPS[self.delay]

    def describe(self, session_id: str) -> dict[str, Any]:
        """The session as an object of OpenAI's API."""
        detection = None
        if self.pause_seconds is not None:
            detection = {"type": "server_vad", "silence_duration_ms": round(1000 * self.pause_seconds)}
        return {
            "id": session_id,
            "object": "realtime.transcription_session",
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": self.rate},
                    "transcription": {"model": self.model.name, "language": self.language, "delay": self.delay},
                    "turn_detection": detection,
                }
            },
        }


def read_settings(session: Any, before: LiveSettings, models: ServedModels) -> LiveSettings:
    """The settings of a session after `session.update`; what it does not name stays as before.

    Raises:
        ApiError: a value that is not accepted.
    """
    session = _read_object(session, "session")
    if session.get("type", "transcription") != "transcription":
        raise invalid_value("session.type", "expected transcription")
    given = _read_object(_read_object(session.get("audio"), "session.audio").get("input"), "session.audio.input")
    transcription = _read_object(given.get("transcription"), "transcription")
    model = before.model
    if name := transcription.get("model"):
        model = models.find(str(name))
    language = before.language
    if "language" in transcription or model is not before.model:
        text = transcription.get("language")
        try:
            language = resolve_source_language(None if text is None else str(text), model.languages, "language")
        except ValueError as error:
            raise ApiError(400, "unsupported_language", str(error), param="language") from None
    check_language_is_given(language, model)
    delay = transcription.get("delay") or before.delay
    if delay not in _STEPS:
        raise invalid_value("delay", f"expected one of {', '.join(_STEPS)}, got {str(delay)[:80]!r}")
    form = _read_object(given.get("format"), "format")
    rate = form.get("rate", before.rate)
    if form.get("type", "audio/pcm") != "audio/pcm" or rate not in RATES:
        raise invalid_value("format", f"expected audio/pcm, 16 bits, with a rate of {' or '.join(map(str, RATES))}")
    pause = before.pause_seconds
    if "turn_detection" in given:
        pause = _read_pause(given["turn_detection"])
    return LiveSettings(model=model, language=language, delay=delay, rate=rate, pause_seconds=pause)


def _read_pause(detection: Any) -> float | None:
    """The pause of `turn_detection` in seconds."""
    if detection is None:
        return None
    milliseconds = _read_object(detection, "turn_detection").get("silence_duration_ms", 500)
    if detection.get("type") != "server_vad" or not isinstance(milliseconds, (int, float)):
        raise invalid_value("turn_detection", "expected null, or server_vad with silence_duration_ms")
    if not 200 <= milliseconds <= 5000:
        raise invalid_value("silence_duration_ms", f"expected 200 to 5000, got {milliseconds}")
    return milliseconds / 1000


def _read_object(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object; nothing stands for an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid_value(name, "expected an object")
    return value


def read_message(text: str) -> Mapping[str, Any]:
    """A message of a client.

    Raises:
        ApiError: it is no JSON object with a type.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ApiError(400, "invalid_message", "Expected a JSON object with a type.")
    return message


def decode_samples(message: Mapping[str, Any]) -> FloatArray:
    """The samples `(n,)` float32 of `input_audio_buffer.append`, at the rate of the session.

    Raises:
        ApiError: its audio is no base64 of samples of 16 bits.
    """
    try:
        data = base64.b64decode(message.get("audio", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        data = b"\0"
    if len(data) % 2:
        raise invalid_value("audio", "expected base64 of samples of 16 bits")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / np.float32(32768)
