# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest

from lab.synthesis.pico import PicoEngine
from lab.synthesis.speech_engine import MissingEngineError, SpeechRequest
from lab.synthesis.voice_checks import find_problem

needs_pico = pytest.mark.skipif(shutil.which("pico2wave") is None, reason="pico2wave is not installed")


def _request(text="mañana volvemos a casa", voice="es-ES", **options):
    return SpeechRequest(text=text, voice=voice, engine="pico", **options)


def _seconds(clip):
    return len(clip.pcm) / 2 / clip.sampling_rate


def test_missing_program(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingEngineError, match="apt-get install libttspico-utils"):
        PicoEngine()


@needs_pico
@pytest.mark.parametrize(
    ("lang", "names"),
    [("en", ["en-US", "en-GB"]), ("en-GB", ["en-GB"]), ("es", ["es-ES"]), ("fr", ["fr-FR"]), ("it", ["it-IT"])],
)
def test_voices_speak_and_the_same_request_gives_the_same_audio(lang, names):
    engine = PicoEngine()
    voices = engine.voices(lang)
    assert [voice.name for voice in voices] == names
    assert all(find_problem(engine, voice) == "" for voice in voices)
    requests = [_request("radio 12, hotel", voice=name, rate=170, pitch=60) for name in names]
    clips = engine.speak(requests)
    assert len({clip.pcm for clip in clips}) == len(names)
    assert PicoEngine().speak(requests[::-1]) == clips[::-1]


@needs_pico
def test_rate_and_pitch():
    plain, slow, high, highest = PicoEngine().speak(
        [_request(), _request(rate=120), _request(pitch=75), _request(pitch=99, rate=450)]
    )
    assert 1.15 < _seconds(slow) / _seconds(plain) < 1.45
    assert _seconds(high) / _seconds(plain) == pytest.approx(1, abs=0.05) and high != plain
    # Levels beyond the range of the engine would be read aloud.
    assert _seconds(highest) < _seconds(plain)


@needs_pico
def test_texts_and_voices_that_it_does_not_know_are_silent():
    engine = PicoEngine()
    clips = engine.speak([_request("привет"), _request(voice="ru-RU"), _request("--help", voice="en-US")])
    assert [bool(clip.pcm) for clip in clips] == [False, False, True]
    signs, words = engine.speak([_request("cats & dogs", voice="en-US"), _request("cats and dogs", voice="en-US")])
    assert signs == words
