# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import shutil

import numpy as np
import pytest

from lab.synthesis.festival import PACKAGES, FestivalEngine
from lab.synthesis.speech_engine import MissingEngineError, SpeechRequest
from lab.synthesis.voice_checks import find_problem

TEXTS = {"en": "we'll go home today", "it": "perché la città è bella", "ru": "ещё стоит большая ёлка"}


@pytest.fixture(scope="module")
def festival():
    if shutil.which("festival") is None:
        pytest.skip("festival is not installed")
    return FestivalEngine()


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def voice(request, festival):
    for lang in TEXTS:
        for voice in festival.voices(lang):
            if voice.name == request.param:
                return voice
    pytest.skip(f"the voice {request.param} ({PACKAGES[request.param][0]}) is not installed")


def _request(voice, text=None, **options):
    return SpeechRequest(text=text or TEXTS[voice.lang], voice=voice.name, engine="festival", **options)


def _seconds(clip):
    return len(clip.pcm) / 2 / clip.sampling_rate


def test_missing_program(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingEngineError, match="apt-get install festival, and voices: .*festvox-ru"):
        FestivalEngine()


def test_the_voice_works_and_its_audio_is_reproducible(festival, voice):
    assert find_problem(festival, voice) == "" and voice.licence and voice.package
    requests = [_request(voice), _request(voice, rate=190, pitch=40), _request(voice)]
    first = festival.speak(requests)
    assert FestivalEngine().speak(requests) == first
    assert first[0] == first[2] != first[1]
    # Settings of one clip do not stay for the next, nor does the level of its units change.
    assert festival.speak(requests[2:]) == first[2:]


def test_rate_and_pitch(festival, voice):
    plain, slow, high = festival.speak([_request(voice), _request(voice, rate=130), _request(voice, pitch=75)])
    if voice.name.endswith("_clunits"):  # units of recordings: pitch and rate change together
        assert slow == plain and _seconds(high) / _seconds(plain) == pytest.approx(2**-0.25, abs=0.01)
    else:
        assert _seconds(slow) / _seconds(plain) == pytest.approx(160 / 130, abs=0.05)
        assert _seconds(high) / _seconds(plain) == pytest.approx(1, abs=0.03) and high != plain


def test_samples_stay_in_range(festival, voice):
    (clip,) = festival.speak([_request(voice)])
    assert 1000 < np.abs(np.frombuffer(clip.pcm, dtype=np.int16).astype(int)).max() < 32767


def test_unknown_texts_and_voices_are_silent_and_do_not_disturb_others(festival, voice):
    other = SpeechRequest(text="hello", voice="nobody", engine="festival")
    alone = festival.speak([_request(voice)])
    mixed = festival.speak([_request(voice, "漢字"), _request(voice), other, _request(voice, '"\\')])
    assert mixed[1:2] == alone and [bool(clip.pcm) for clip in mixed] == [False, True, False, False]
    assert festival.speak([]) == []


def test_without_voices_the_packages_are_named(monkeypatch, tmp_path):
    program = tmp_path / "festival"
    program.write_text("#!/bin/sh\necho\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    with pytest.raises(MissingEngineError, match="festival has no voices; .* festvox-italp16k"):
        FestivalEngine()


def test_a_process_that_fails_is_an_error_with_the_texts(festival, monkeypatch, tmp_path):
    program = tmp_path / "festival"
    program.write_text("#!/bin/sh\necho out of memory >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(festival, "_program", str(program))
    name = next(iter(festival._voices))
    with pytest.raises(RuntimeError, match=f"1 clips of {name} that start with '1': .* code 3: out of memory"):
        festival.speak([SpeechRequest(text="1", voice=name, engine="festival")])
