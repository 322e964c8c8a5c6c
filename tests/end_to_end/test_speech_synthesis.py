# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a folder of recordings to a synthesizer that makes sound of their ids."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from training_runs import TWO_PROCESSES, assert_equal_weights, check_kill_and_resume, make_launcher, read_log

from mu2slam_hf import Mu2SLAMFeatureExtractor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.training.checkpoints import list_checkpoints

RECIPE = REPOSITORY_ROOT / "configuration" / "recipes" / "speech_synthesizer" / "tiny_test.yaml"


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A corpus of tones, and a speech tokenizer, known by the variables of the recipe."""
    folder = tmp_path_factory.mktemp("parts")
    tones = write_tone_corpus(folder / "tones", num_sentences=10, max_words=3)
    torch.manual_seed(0)
    SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=32)).save_pretrained(folder / "tokenizer")
    Mu2SLAMFeatureExtractor().save_pretrained(folder / "tokenizer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MU2SLAM_TINY", str(tones.parent))
        patch.setenv("MU2SLAM_SPEECH_TOKENIZER", str(folder / "tokenizer"))
        yield tones


@pytest.fixture(scope="module")
def launch(tones):
    return make_launcher("train_speech_synthesizer.py", RECIPE, tones)


def run(output, *overrides):
    return build_run(load_recipe(RECIPE, [f"output.dir={output}", *overrides]))


@pytest.fixture(scope="module")
def finished(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    settings = (
        "training.max_steps=60",
        "training.eval_steps=60",
        "training.save_steps=30",
        "optim.learning_rate=0.01",
    )
    run(folder, *settings).run()
    return folder


def test_both_losses_fall(finished):
    logs = [entry for entry in read_log(finished) if "loss_mel" in entry]
    for name in ("mel", "stft"):
        first, last = (np.mean([entry[f"loss_{name}"] for entry in part]) for part in (logs[:5], logs[-5:]))
        assert last < 0.8 * first, name
    results = json.loads((finished / "final" / "results.json").read_text())
    assert results["eval_loss_mel"] > 0


def test_the_result_makes_sound_of_the_ids_of_a_recording(finished, tones):
    final = finished / "final"
    assert yaml.safe_load((final / "recipe.yaml").read_text())["kind"] == "speech_synthesis"
    processor, model = SpeechSynthesizerProcessor.from_pretrained(final), SpeechSynthesizerModel.from_pretrained(final)
    processor.set_speech_synthesizer(model.eval())
    assert len(model.config.languages) > 1 and model.config.speakers[1:] == model.config.languages[1:]
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    (ids,) = processor.tokenize_speech([tone.astype(np.float32)], 16000)
    sound = processor.decode_speech(ids, lang=model.config.languages[1])
    assert sound.shape == (16000,) and np.abs(sound).max() > 1e-3


def test_resumed_in_the_middle(launch, tmp_path):
    settings = ("training.max_steps=8", "training.save_steps=4")
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    launch(whole, *settings)
    assert [path.name for path in list_checkpoints(whole)] == ["checkpoint-4", "checkpoint-8"]
    shutil.copytree(whole, resumed, ignore=shutil.ignore_patterns("final", "checkpoint-8"))
    launch(resumed, *settings)
    assert_equal_weights(whole / "final", resumed / "final")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), TWO_PROCESSES], ids=["alone", "two processes"])
def test_killed_in_the_middle_of_a_step_and_resumed(launch, tmp_path, launcher):
    check_kill_and_resume(launch, tmp_path, launcher)


def test_a_trained_synthesizer_gets_another_vocoder(finished, tmp_path):
    settings = ("training.max_steps=1", "training.save_steps=1", "model.overrides={vocoder: griffin_lim}")
    result = run(tmp_path / "run", f"model.init_from={finished / 'final'}", "objective.stft=0", *settings)
    result.run()
    model = SpeechSynthesizerModel.from_pretrained(tmp_path / "run" / "final")
    assert model.vocoder is None and model.config.vocoder == "griffin_lim"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["speech_tokenizer=null"], "speech_tokenizer: is required"),
        (["objective.stft=0"], "objective.stft: must be above 0 for a vocoder with weights"),
        (["model.init_encoder_from=default"], "init_encoder_from: does not apply to a speech synthesizer"),
        (["data.crop_seconds=0.01"], "crop_seconds must be at least 0.04"),
    ],
)
def test_recipes_that_cannot_run(tones, tmp_path, overrides, message):
    with pytest.raises((RecipeError, ValueError), match=message):
        started = run(tmp_path / "run", *overrides)
        data = started.load_data()
        started.build_model(started.build_processor(data), data)
