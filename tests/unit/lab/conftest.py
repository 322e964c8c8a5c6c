# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest

from lab.synthesis import engine_registry
from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.speech_engine import EngineVoice, SpokenClip


class ToneEngine:
    """Speaks a tone of 0.1 s for each character, whose pitch depends on the characters and on the voice.

    The voices of a language are `<lang>1`, ... for as many as `num_voices` says. Texts with "#" are silent.
    """

    num_voices = {"en": 2, "it": 1}
    version = "1.0 of the tests"
    sampling_rate = 8000

    def __init__(self, name: str, licence: str = "MIT") -> None:
        self.name, self.licence, self.blocks = name, licence, []

    def voices(self, lang):
        numbers = range(1, 1 + self.num_voices.get(lang, 0))
        return [EngineVoice(engine=self.name, name=f"{lang}{n}", lang=lang, licence=self.licence) for n in numbers]

    def speak(self, requests):
        self.blocks.append([request.text for request in requests])
        return [SpokenClip(pcm=self._tone(request), sampling_rate=self.sampling_rate) for request in requests]

    def _tone(self, request):
        if "#" in request.text:
            return b""
        pitch = (100 + sum(map(ord, request.text + request.voice)) % 200) * request.pitch_ratio
        length = round(0.1 * len(request.text) * request.duration_stretch * self.sampling_rate)
        phase = 2 * np.pi * pitch / self.sampling_rate * np.arange(length)
        return np.round(8000 * np.sin(phase)).astype(np.int16).tobytes()

    def close(self):
        self.blocks.append("closed")


@pytest.fixture(scope="module")
def engine():
    with EspeakEngine() as engine:
        yield engine


@pytest.fixture
def tone_engines(monkeypatch):
    """The engines `tone` and `bell` are registered, beside a third one, `unknown`, whose voices have no licence."""
    made = []

    def make(name, licence="MIT"):
        made.append(ToneEngine(name, licence))
        return made[-1]

    monkeypatch.setitem(engine_registry.ENGINES, "tone", lambda: make("tone"))
    monkeypatch.setitem(engine_registry.ENGINES, "bell", lambda: make("bell"))
    monkeypatch.setitem(engine_registry.ENGINES, "unknown", lambda: make("unknown", licence=""))
    return made
