# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace

import pytest

from lab.synthesis.speech_engine import EngineVoice, SpokenClip
from lab.synthesis.voice_checks import find_problem

VOICE = EngineVoice(engine="test", name="v", lang="it", licence="MIT")


class AnsweringEngine:
    name, version = "test", "1"

    def __init__(self, answer):
        self.answer = answer

    def voices(self, lang):
        return [VOICE]

    def speak(self, requests):
        return [SpokenClip(pcm=self.answer(request.text), sampling_rate=16000) for request in requests]

    def close(self):
        pass


def _crash(text):
    raise RuntimeError("it hung")


SECOND = 32000


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda text: text.encode("latin-1") * 3000, ""),
        (lambda text: b"", "it is silent for 'la città"),
        (lambda text: bytes(2 * SECOND), "it is silent for 'la città"),
        (lambda text: text.encode("utf-16") * 20, "does not speak general text"),
        # A voice of another encoding drops what it does not know.
        (lambda text: b"sound." * SECOND, "it makes no difference between 'la città"),
        (_crash, "it hung"),
    ],
)
def test_voices_are_heard(answer, problem):
    found = find_problem(AnsweringEngine(answer), VOICE)
    assert problem in found and bool(problem) == bool(found)


def test_voices_without_a_known_licence_and_duplicates_are_not_used():
    engine = AnsweringEngine(lambda text: text.encode("latin-1") * 3000)
    assert find_problem(engine, replace(VOICE, licence="")) == "its licence is not known"
    assert "half of its sampling rate" in find_problem(engine, replace(VOICE, engine="flite", name="kal"))
