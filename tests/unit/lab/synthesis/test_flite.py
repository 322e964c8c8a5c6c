# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest

from lab.synthesis.flite import FliteEngine
from lab.synthesis.speech_engine import MissingEngineError, SpeechRequest
from lab.synthesis.voice_checks import find_problem

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
VOICES = ("awb", "kal16", "rms", "slt")


def _request(text="we will go home today", voice="kal16", **options):
    return SpeechRequest(text=text, voice=voice, engine="flite", **options)


def _seconds(clip):
    return len(clip.pcm) / 2 / clip.sampling_rate


def test_missing_program(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingEngineError, match="apt-get install flite"):
        FliteEngine()


@needs_flite
def test_voices_speak_and_the_same_request_gives_the_same_audio():
    engine = FliteEngine()
    assert {voice.name for voice in engine.voices("en") if not find_problem(engine, voice)} >= set(VOICES)
    assert engine.voices("it") == [] and engine.version[0].isdigit()
    requests = [_request(voice=voice, rate=170, pitch=60) for voice in VOICES]
    clips = engine.speak(requests)
    assert len({clip.pcm for clip in clips}) == len(VOICES)
    assert FliteEngine().speak(requests[::-1]) == clips[::-1]


@needs_flite
@pytest.mark.parametrize("voice", ["kal16", "rms"])
def test_rate_and_pitch(voice):
    plain, slow, high = FliteEngine().speak(
        [_request(voice=voice), _request(voice=voice, rate=120), _request(voice=voice, pitch=75)]
    )
    assert 1.15 < _seconds(slow) / _seconds(plain) < 1.45
    assert _seconds(high) / _seconds(plain) == pytest.approx(1, abs=0.03) and high != plain


@needs_flite
def test_texts_and_voices_that_it_does_not_know_are_silent():
    engine = FliteEngine()
    clips = engine.speak([_request("привет"), _request(voice="nobody"), _request("--help")])
    assert [bool(clip.pcm) for clip in clips] == [False, False, True]
    plain, accented = engine.speak([_request("a cafe"), _request("a café")])
    assert plain == accented
