# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
import os
import random
from collections import Counter

import numpy as np
import pytest

from lab.synthesis.kokoro import FOLDER_VARIABLE, PARTNERS, VOICES, KokoroEngine
from lab.synthesis.speech_engine import MissingEngineError, MixingEngine, SpeechRequest
from lab.synthesis.voice_checks import find_problem
from lab.synthesis.voice_mix import VoiceMix

pytest.importorskip("onnxruntime", reason="the extra voices is not installed")
pytest.importorskip("misaki", reason="the extra voices is not installed")
needs_kokoro = pytest.mark.skipif(
    not os.environ.get(FOLDER_VARIABLE), reason=f"{FOLDER_VARIABLE} does not name a folder with Kokoro"
)


class _Model:
    """Stands for the ONNX model: 100 samples for each token, as loud as the style says."""

    def __init__(self):
        self.calls = []

    def run(self, names, inputs):
        self.calls.append(inputs)
        return [np.full(100 * inputs["tokens"].shape[1], inputs["style"][0, 0], np.float32)]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine whose styles have the number of the voice as values, with a model that records its inputs."""
    (tmp_path / "model.onnx").write_bytes(b"")
    letters = "abdefghijklmnoprstuvwzɑɔəɛʁʃˈ "
    (tmp_path / "vocab.json").write_text(json.dumps({"vocab": {c: i + 1 for i, c in enumerate(letters)}}))
    (tmp_path / "voices").mkdir()
    names = sorted({name for names in (*VOICES.values(), *PARTNERS.values()) for name in names})
    for number, name in enumerate(names):
        np.full((510, 1, 256), number + 1, np.float32).tofile(tmp_path / "voices" / f"{name}.bin")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    engine = KokoroEngine()
    engine.__dict__["_session"] = _Model()
    engine.numbers = {name: number + 1 for number, name in enumerate(names)}
    return engine


def _request(text="bonjour madame", voice="fr/ff_siwis", **options):
    return SpeechRequest(text=text, voice=voice, engine="kokoro", **options)


def test_missing_weights_are_explained(monkeypatch, tmp_path):
    for folder in ("", str(tmp_path)):
        monkeypatch.setenv(FOLDER_VARIABLE, folder)
        with pytest.raises(MissingEngineError, match=f"the environment variable {FOLDER_VARIABLE} names"):
            KokoroEngine()


def test_a_mixture_is_the_weighted_mean_of_two_styles(engine):
    engine.speak([_request(voice="fr/ff_siwis*0.75+pf_dora*0.25")])
    (call,) = engine._session.calls
    expected = 0.75 * engine.numbers["ff_siwis"] + 0.25 * engine.numbers["pf_dora"]
    np.testing.assert_allclose(call["style"], np.full((1, 256), expected), rtol=1e-6)
    tokens = call["tokens"][0]
    assert tokens[0] == tokens[-1] == 0 and (tokens[1:-1] > 0).all()


def test_mixtures_have_at_least_half_of_a_voice_of_the_language(engine):
    assert isinstance(engine, MixingEngine)
    (voice,) = engine.voices("fr")
    source = random.Random(0)
    partners = Counter()
    for _ in range(200):
        larger, smaller = engine.mix(voice, source).name.removeprefix("fr/").split("+")
        (name, share), (partner, rest) = larger.split("*"), smaller.split("*")
        assert name == "ff_siwis" and 0.5 <= float(share) <= 0.9
        assert float(share) + float(rest) == pytest.approx(1)
        partners[partner] += 1
    assert set(partners) == set(PARTNERS["fr"])


def test_pitch_and_rate(engine):
    plain, high, fast = engine.speak([_request(), _request(pitch=75), _request(rate=200)])
    speeds = [float(call["speed"][0]) for call in engine._session.calls]
    assert speeds == pytest.approx([1, 1 / 2**0.25, 200 / 160])
    assert (plain.sampling_rate, fast.sampling_rate) == (24000, 24000)
    assert high.sampling_rate == round(24000 * 2**0.25)


def test_texts_that_cannot_be_read_have_no_clip(engine):
    long = "bonjour " * 200
    clips = engine.speak([_request("en 2012"), _request(long), _request("..."), _request(voice="xx/ff_siwis")])
    assert [clip.pcm for clip in clips] == [b""] * 4


def test_engines_that_cannot_mix_draw_as_before(tone_engines):
    draws = [VoiceMix(["tone"], mixing_prob=p).draw("en", 5, random.Random(3)) for p in (0.0, 1.0)]
    assert draws[0] == draws[1]


@needs_kokoro
@pytest.mark.parametrize("lang", ["en", "es", "fr", "it"])
def test_the_real_voices_speak_and_repeat_themselves(lang):
    engine = KokoroEngine()
    voice = engine.voices(lang)[0]
    assert find_problem(engine, voice) == ""
    request = _request("radio hotel", voice=voice.name)
    assert engine.speak([request]) == KokoroEngine().speak([request])
