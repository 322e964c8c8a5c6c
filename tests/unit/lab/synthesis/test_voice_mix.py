# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
import random
from collections import Counter

import numpy as np
import pytest

from lab.synthesis.folder import FolderSettings
from lab.synthesis.speech import SoundSettings, plan_clips
from lab.synthesis.texts import synthesize_texts
from lab.synthesis.voice_mix import VoiceMix
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.manifests import read_manifest

SETTINGS = SoundSettings()


def _shares(mix, lang):
    return {f"{voice.engine}:{voice.name}": share for voice, share in mix.voices(lang).items()}


def test_without_weights_every_voice_has_the_same_share(tone_engines):
    mix = VoiceMix(["tone", "bell"])
    assert _shares(mix, "en") == dict.fromkeys(("tone:en1", "tone:en2", "bell:en1", "bell:en2"), 0.25)


def test_weights_divide_engines_and_then_voices(tone_engines):
    mix = VoiceMix(["tone", "bell"], weights={"tone": 3, "bell": 1, "tone:en1": 2})
    assert _shares(mix, "en") == pytest.approx(
        {"tone:en1": 0.5, "tone:en2": 0.25, "bell:en1": 0.125, "bell:en2": 0.125}
    )
    assert sum(_shares(mix, "it").values()) == pytest.approx(1)


def test_weight_0_leaves_out_an_engine_or_a_voice(tone_engines):
    mix = VoiceMix(["tone", "bell"], weights={"tone:en1": 0, "bell": 0})
    assert _shares(mix, "en") == {"tone:en2": 1.0} and _shares(mix, "it") == {"tone:it1": 1.0}
    with pytest.raises(ValueError, match="no voice for 'en' in the engines tone"):
        VoiceMix(["tone"], weights={"tone": 0}).voices("en")


def test_espeak_ng_has_half_beside_other_engines(tone_engines):
    pytest.importorskip("espeakng_loader", reason="needs the extra lab")
    mix = VoiceMix(["espeak-ng", "tone"])
    shares = _shares(mix, "en")
    assert shares["tone:en1"] == pytest.approx(0.25)
    assert sum(share for name, share in shares.items() if name.startswith("espeak-ng:")) == pytest.approx(0.5)
    assert all(name.startswith("espeak-ng:fr+") for name in _shares(mix, "fr"))
    mix.close()


def test_drawn_voices_are_distinct_and_follow_the_shares(tone_engines):
    mix = VoiceMix(["tone", "bell"], weights={"tone": 3, "bell": 1})
    counts = Counter(mix.draw("en", 1, random.Random(seed))[0].engine for seed in range(1000))
    assert 690 < counts["tone"] < 810
    drawn = mix.draw("en", 6, random.Random(0))
    assert len(set(drawn[:4])) == 4 and len(drawn) == 6


def test_voices_that_fail_are_left_out_with_a_reason(tone_engines, caplog):
    mix = VoiceMix(["tone", "unknown"])
    assert set(_shares(mix, "en")) == {"tone:en1", "tone:en2"}
    assert mix.left_out == {name: "its licence is not known" for name in ("unknown:en1", "unknown:en2")}
    assert "the voice en1 of unknown is left out" in caplog.text
    with pytest.raises(ValueError, match="no voice for 'it' in the engines unknown; unknown:it1: its licence"):
        VoiceMix(["unknown"]).voices("it")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"tone": -1}, "at least 0; tone has -1"),
        ({"tone": float("nan")}, "at least 0; tone has nan"),
        ({"bell": 1}, "a weight is for 'bell', but the engines are tone"),
    ],
)
def test_bad_weights(tone_engines, weights, message):
    with pytest.raises(ValueError, match=message):
        VoiceMix(["tone"], weights=weights)


def test_plans_are_a_function_of_the_key_and_keep_the_ranges_of_the_mix(tone_engines):
    mix = VoiceMix(["tone", "bell"], rate_range=(150, 155), pitch_range=(40, 45))
    plans = plan_clips("hello", "en", key="a", settings=SETTINGS, num_voices=40, voices=mix)
    assert plans == plan_clips("hello", "en", key="a", settings=SETTINGS, num_voices=40, voices=mix)
    assert plans != plan_clips("hello", "en", key="b", settings=SETTINGS, num_voices=40, voices=mix)
    assert {plan.speaker for plan in plans} == {"tone:en1", "tone:en2", "bell:en1", "bell:en2"}
    for plan in plans:
        assert 150 <= plan.request.rate <= 155 and 40 <= plan.request.pitch <= 45


def test_a_folder_of_a_mix_records_voices_and_versions(tone_engines, tmp_path):
    texts = [(f"t{number}", ("en", "it")[number % 2], f"text number {number}") for number in range(60)]
    texts.append(("silent", "en", "#"))
    digests = []
    for name, workers in (("one", 1), ("two", 2)):
        summary = synthesize_texts(
            texts,
            tmp_path / name,
            seed=3,
            sound=SoundSettings(band_limit_hz=None),
            folder=FolderSettings(num_workers=workers, corpus="c"),
            voices=VoiceMix(["tone", "bell"]),
        )
        records = read_manifest(summary.manifest)
        digests.append([load_audio(record.audio).tobytes() for record in records])
    assert digests[0] == digests[1] and len(records) == 60
    assert {record.speaker for record in records} == {
        *("tone:en1", "tone:en2", "bell:en1", "bell:en2", "tone:it1", "bell:it1")
    }
    assert summary.left_out[0][0] == "en/silent.0" and summary.left_out[0][1].endswith(" has no usable audio")
    record = records[0]
    # The tones have 8 kHz; the files have the rate of the settings.
    assert len(load_audio(record.audio)) == pytest.approx(16000 * record.duration_seconds, abs=10)
    assert np.abs(load_audio(record.audio)).max() > 0
    facts = json.loads((tmp_path / "one" / "synthesis.json").read_text(encoding="utf-8"))
    assert facts["versions"]["tone"] == "1.0" and "espeak-ng" not in facts["versions"]
    assert facts["voices"]["engines"] == ["tone", "bell"]
    assert facts["voices"]["voices"]["it"] == {"tone:it1": 0.5, "bell:it1": 0.5}
