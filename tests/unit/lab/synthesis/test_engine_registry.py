# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from lab.synthesis import engine_registry
from lab.synthesis.engine_registry import EngineGroup, installed_engines, open_engine
from lab.synthesis.speech_engine import MissingEngineError, SpeechRequest


def _requests(*pairs):
    return [SpeechRequest(text=text, voice="en1", engine=engine) for engine, text in pairs]


def test_each_engine_speaks_its_requests_as_one_block_and_the_order_is_kept(tone_engines):
    requests = _requests(("tone", "a"), ("bell", "bb"), ("tone", "ccc"), ("bell", "dddd"))
    with EngineGroup(["tone", "bell"]) as group:
        clips = group.speak(requests)
        assert [len(clip.pcm) // 2 for clip in clips] == [800, 1600, 2400, 3200]
        assert [engine.blocks for engine in tone_engines] == [[["a", "ccc"]], [["bb", "dddd"]]]
        assert group.versions() == {"tone": "1.0", "bell": "1.0"}
        assert group.speak([]) == []
    assert [engine.blocks[-1] for engine in tone_engines] == ["closed", "closed"]


def test_installed_engines_are_those_that_start(tone_engines, monkeypatch):
    def missing():
        raise MissingEngineError("apt-get install it")

    makers = {"tone": engine_registry.ENGINES["tone"], "bell": missing}
    monkeypatch.setattr(engine_registry, "ENGINES", makers)
    assert installed_engines() == ["tone"]
    with pytest.raises(ImportError, match="apt-get install it"):
        EngineGroup(["tone", "bell"])


def test_messages(tone_engines):
    with pytest.raises(ValueError, match="the speech engines are espeak-ng, festival, flite.*got 'Tone'"):
        open_engine("Tone")
    with pytest.raises(ValueError, match="name at least one"):
        EngineGroup([])
    with EngineGroup(["tone"]) as group, pytest.raises(KeyError, match="bell"):
        group.speak(_requests(("bell", "a")))


def test_rate_and_pitch_of_a_request_are_relative_to_the_voice():
    plain, changed = SpeechRequest(text="a", voice="v"), SpeechRequest(text="a", voice="v", rate=80, pitch=75)
    assert (plain.duration_stretch, plain.pitch_ratio) == (1.0, 1.0)
    assert changed.duration_stretch == 2.0
    assert changed.pitch_ratio == pytest.approx(2 ** (3 / 12))
