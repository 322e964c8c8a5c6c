# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest

from lab.synthesis.rhvoice import LICENCES, RHVoiceEngine
from lab.synthesis.speech_engine import MissingEngineError, SpeechRequest
from lab.synthesis.voice_checks import find_problem

needs_rhvoice = pytest.mark.skipif(shutil.which("RHVoice-test") is None, reason="RHVoice is not installed")


def _request(text="мы скоро вернёмся домой", voice="elena", **options):
    return SpeechRequest(text=text, voice=voice, engine="rhvoice", **options)


def _seconds(clip):
    return len(clip.pcm) / 2 / clip.sampling_rate


def test_missing_program(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingEngineError, match="apt-get install rhvoice"):
        RHVoiceEngine()


@needs_rhvoice
def test_only_voices_of_known_licences_in_the_folder_of_the_data(monkeypatch, tmp_path):
    for name, language in [("elena", "Russian"), ("slt", "English"), ("anna", "Georgian"), ("arina", "Russian")]:
        folder = tmp_path / "voices" / name
        folder.mkdir(parents=True)
        (folder / "voice.info").write_text(f"name={name.title()}\nlanguage={language}\n")
    monkeypatch.setenv("RHVOICEDATAPATH", str(tmp_path))
    engine = RHVoiceEngine()
    assert [voice.name for voice in engine.voices("ru")] == ["elena"]
    assert [voice.name for voice in engine.voices("en-US")] == ["slt"]
    assert engine.voices("fr") == [] and "arina" not in LICENCES


@needs_rhvoice
def test_voices_speak_and_the_same_request_gives_the_same_audio():
    engine = RHVoiceEngine()
    voices = engine.voices("ru")[:2]
    if not voices:
        pytest.skip("RHVoice has no Russian voices")
    assert all(find_problem(engine, voice) == "" for voice in voices)
    requests = [_request(voice=voice.name, rate=170, pitch=60) for voice in voices]
    clips = engine.speak(requests)
    assert len({clip.pcm for clip in clips}) == len(voices)
    assert RHVoiceEngine().speak(requests[::-1]) == clips[::-1]
    plain, slow, high = engine.speak([_request(), _request(rate=120), _request(pitch=75)])
    assert 1.15 < _seconds(slow) / _seconds(plain) < 1.45
    assert _seconds(high) / _seconds(plain) == pytest.approx(1, abs=0.05) and high != plain
    unknown = engine.speak([_request("hello"), _request(voice="nobody")])
    assert not any(clip.pcm for clip in unknown)
