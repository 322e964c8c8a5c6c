# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
import shutil

import numpy as np
import pytest
import soundfile
from helpers import REPOSITORY_ROOT

from mu2slam_hf import default_checkpoint, load_default, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.tasks.no_speech_calibration import (
    MeasuredClip,
    SoundClip,
    fit_no_speech,
    format_no_speech,
    measure_clips,
    non_speech_clips,
    score_no_speech,
    speech_clips,
)
from mu2slam_hf.inference.no_speech import AGREEMENT, FeatureWeight, NoSpeechSettings


def drawn(source, has_speech, means, number, seed):
    """Clips with normal features; `square` is far from 0 on both sides without speech."""
    generator = np.random.default_rng(seed)
    clips = []
    for _ in range(number):
        far = 0.0 if has_speech else float(generator.choice([-4.0, 4.0]))
        features = {
            "linear": float(generator.normal(means, 1.0)),
            "square": far + float(generator.normal(0.0, 0.5)),
            AGREEMENT: float(generator.normal(0.0 if has_speech else -0.5, 0.1)),
        }
        clips.append(
            MeasuredClip(source=source, has_speech=has_speech, level_dbfs=-20.0, features=features, num_words=1)
        )
    return clips


@pytest.fixture(scope="module")
def clips():
    speech = drawn("a", True, 2.0, 300, 0) + drawn("b", True, 1.5, 100, 1)
    return speech + drawn("tone", False, -2.0, 200, 2) + drawn("noise", False, -1.0, 50, 3)


def test_the_regression_separates_what_can_be_separated(clips):
    settings = fit_no_speech(clips)
    assert all(score.num_wrong <= 0.01 * score.num_clips for score in score_no_speech(settings, clips))
    # What is far from speech on both sides counts by its square, the model's own features linearly.
    assert settings.weights["square"].square < 0 < settings.weights["linear"].linear
    assert settings.weights[AGREEMENT].square == 0.0 and settings.weights[AGREEMENT].linear > 0


@pytest.mark.parametrize("max_muted", [0.0, 0.02, 0.2])
def test_the_threshold_empties_about_the_wanted_share_of_new_speech(max_muted):
    mixed = drawn("a", True, 0.6, 2000, 0) + drawn("b", True, 0.6, 2000, 1)
    mixed = [MeasuredClip(**{**vars(c), "features": {"linear": c.features["linear"]}}) for c in mixed]
    sounds = [
        MeasuredClip(**{**vars(c), "features": {"linear": c.features["linear"]}})
        for c in drawn("tone", False, -0.6, 2000, 2)
    ]
    settings = fit_no_speech([*mixed, *sounds], max_muted=max_muted)
    fresh = drawn("new", True, 0.6, 4000, 9)
    muted = np.mean([settings.score({"linear": clip.features["linear"]}) <= 0 for clip in fresh])
    assert muted == pytest.approx(max_muted, abs=0.01)


def test_a_score_below_zero_is_final_while_features_are_missing(clips):
    settings = fit_no_speech(clips)
    for clip in clips:
        full = settings.score(clip.features)
        for missing in clip.features:
            assert settings.score({k: v for k, v in clip.features.items() if k != missing}) >= full - 1e-9


@pytest.mark.parametrize(("linear", "square"), [(1.0, 0.0), (-2.0, 0.3), (0.5, -0.2), (3.0, -0.1), (0.0, -1.0)])
def test_the_largest_contribution(linear, square):
    weight = FeatureWeight(mean=1.0, deviation=2.0, linear=linear, square=square)
    values = np.linspace(-30, 30, 6001)
    assert weight.largest() == pytest.approx(max(weight(value) for value in values), abs=1e-4)


def test_settings_survive_json(clips):
    settings = fit_no_speech(clips)
    again = NoSpeechSettings.from_dict(json.loads(json.dumps(settings.to_dict())))
    for clip in clips[:50]:
        assert again.score(clip.features) == pytest.approx(settings.score(clip.features), abs=1e-3)
    with pytest.raises(ValueError, match="no_speech of the generation configuration is invalid"):
        NoSpeechSettings.from_dict({"weights": {"linear": {"mean": 0.0}}})


def test_levels_and_texts_that_are_empty_count_as_decided():
    settings = NoSpeechSettings(bias=1.0, weights={"x": FeatureWeight(mean=0.0, deviation=1.0, linear=0.0)})
    common = {"source": "a", "has_speech": True, "features": {"x": 0.0}}
    quiet = MeasuredClip(level_dbfs=-90.0, num_words=3, **common)
    wordless = MeasuredClip(level_dbfs=-20.0, num_words=0, **common)
    heard = MeasuredClip(level_dbfs=-20.0, num_words=3, **common)
    (score,) = score_no_speech(settings, [quiet, wordless, heard])
    assert (score.num_clips, score.num_wrong) == (3, 2)
    assert "speech, emptied" in format_no_speech([score])


def test_one_class_is_not_enough(clips):
    with pytest.raises(ValueError, match="expected clips with speech and clips without"):
        fit_no_speech([clip for clip in clips if clip.has_speech])


def test_noise_is_added_to_a_share_of_the_speech():
    records = read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv")
    clean = list(speech_clips(records, "examples"))
    noisy = list(speech_clips(records, "examples", noisy_share=1.0))
    again = list(speech_clips(records, "examples", noisy_share=1.0))
    for one, other, third in zip(clean, noisy, again, strict=True):
        assert one.source == f"examples {one.source.split()[-1]}" and one.has_speech
        ratio = np.mean(one.waveform**2) / np.mean((other.waveform - one.waveform) ** 2)
        assert 9.0 < 10 * np.log10(ratio) < 31.0
        assert np.array_equal(other.waveform, third.waveform)


def test_the_shipped_checkpoint_writes_speech_and_nothing_else():
    model, processor = load_default()
    records = read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv")
    silence = [SoundClip(source="silence", has_speech=False, waveform=np.zeros(n, np.float32)) for n in (800, 48_000)]
    sounds = [*non_speech_clips(15, seed=77), *silence]
    measured = measure_clips(model, processor, [*speech_clips(records, "examples"), *sounds])
    scores = score_no_speech(NoSpeechSettings.from_model(model), measured)
    assert sum(score.num_clips for score in scores) == len(records) + 17
    assert not any(score.num_wrong for score in scores), format_no_speech(scores)


def test_the_command_stores_settings(tmp_path, capsys):
    folder, data = tmp_path / "model", tmp_path / "data"
    shutil.copytree(default_checkpoint(), folder)
    data.mkdir()
    (data / "manifest.tsv").write_text("audio\tlang\ttext\nclip.wav\tes\tmensaje\n", encoding="utf-8")
    source = next((REPOSITORY_ROOT / "examples" / "es").glob("*.opus"))
    samples, rate = soundfile.read(source)
    soundfile.write(data / "clip.wav", samples, rate)
    before = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    command = ["calibrate", "--model", str(folder), "--manifest", str(data / "manifest.tsv"), "--num-sounds", "15"]
    assert main([*command, "--num-measured", "4"]) == 0
    stored = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert set(stored) == set(before) and stored["no_speech"] != before["no_speech"]
    assert stored["no_speech"]["weights"].keys() == before["no_speech"]["weights"].keys()
    assert "data es" in capsys.readouterr().out
    assert main([*command, "--num-measured", "4", "--check"]) == 0
    assert json.loads((folder / "generation_config.json").read_text(encoding="utf-8")) == stored
    assert main(["calibrate", "--manifest", str(data / "manifest.tsv")]) == 1
    assert "expected the folder of a checkpoint" in capsys.readouterr().err
