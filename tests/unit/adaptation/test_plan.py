# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What an adaptation chooses, and how its recipe reads."""

import math
from dataclasses import replace

import pytest
import yaml

from mu2slam_hf.adaptation.plan import Pace, Plan, Start, choose_plan, choose_steps
from mu2slam_hf.adaptation.pretraining import choose_pretraining, choose_pretraining_steps
from mu2slam_hf.adaptation.recipe_tree import TrainingFiles, build_recipe_tree
from mu2slam_hf.adaptation.settings import AdaptationSettings
from mu2slam_hf.adaptation.training_manifest import write_manifest
from mu2slam_hf.checkpoints import default_checkpoint
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.recipes.runs import load_recipes

CHECKPOINT = Start(
    kind="checkpoint",
    name="default",
    folder=default_checkpoint(),
    num_parameters=8_000_000,
    new_languages=("mdw",),
    growing_languages=("mdw", "fr"),
)
PACE = Pace(seconds_per_step=0.5, evaluation_seconds=10.0, bf16=True)


def make_plan(settings=None, hours=1.0, **start):
    return choose_plan(settings or AdaptationSettings(), replace(CHECKPOINT, **start), train_hours=hours)


@pytest.mark.parametrize(
    "start, hours, method",
    [
        ({}, 0.1, "full"),
        ({"num_parameters": 600_000_000, "new_languages": (), "growing_languages": ()}, 1.0, "lora"),
        ({"num_parameters": 600_000_000}, 1.0, "frozen"),
        ({"num_parameters": 600_000_000, "kind": "encoder"}, 1.0, "frozen"),
        ({"num_parameters": 600_000_000}, 30.0, "full"),
        ({"num_parameters": 600_000_000, "kind": "new", "folder": None}, 1.0, "full"),
    ],
)
def test_the_method_follows_from_size_and_hours(start, hours, method):
    assert make_plan(hours=hours, **start).method == method
    assert make_plan(AdaptationSettings(method="frozen"), hours=hours, **start).method == "frozen"


def test_the_number_of_updates_fits_the_time():
    """The updates, twelve evaluations and two more for the choice of the weights take less than the time."""
    plan = make_plan(hours=4.0)
    timed = choose_steps(plan, AdaptationSettings(time_seconds=7200), PACE, train_hours=4.0, seconds_left=6000)
    seconds = timed.max_steps * 0.5 + 14 * 10
    assert 0.9 * 6000 < seconds <= 6000
    # 4 h in batches of 60 s are 240 updates: 40 passes without a time, at most 150 with one
    free = choose_steps(plan, AdaptationSettings(), PACE, train_hours=4.0, seconds_left=None)
    assert free.max_steps == 40 * 240
    long = choose_steps(plan, AdaptationSettings(time_seconds=1e6), PACE, train_hours=4.0, seconds_left=1e6)
    assert long.max_steps == 150 * 240
    asked = choose_steps(plan, AdaptationSettings(max_steps=7), PACE, train_hours=4.0, seconds_left=None)
    assert (asked.max_steps, asked.eval_steps) == (7, 1)
    short = choose_steps(plan, AdaptationSettings(time_seconds=60), PACE, train_hours=4.0, seconds_left=-5)
    assert short.max_steps == 1


def test_a_stored_plan_is_read_as_it_was(tmp_path):
    plan = choose_steps(make_plan(), AdaptationSettings(), PACE, train_hours=1.0, seconds_left=None)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert set(plan.reasons) == {"start", "training", "updates", "development"}


def test_replay_has_its_share_of_the_seconds():
    """2 h of recordings and 3 of 10 h of replayed data in a pass: 40 %."""
    settings = AdaptationSettings(replay="old.jsonl", replay_share=0.6)
    plan = choose_plan(settings, CHECKPOINT, train_hours=2.0, replay_hours=10.0)
    assert plan.replay_weight * 10.0 == pytest.approx(3.0)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"method": "some"}, "`method` must be one of auto, full, frozen, lora"),
        ({"time_seconds": 0}, "above 0"),
        ({"time_seconds": 60, "max_steps": 5}, "give only one"),
        ({"replay_share": 1.0}, "between 0 and 1"),
        ({"mode": "gradual"}, "give it as `replay`"),
    ],
)
def test_settings_that_have_no_meaning(values, message):
    with pytest.raises(ValueError, match=message):
        AdaptationSettings(**values)


def test_adapters_belong_to_a_checkpoint():
    assert make_plan(AdaptationSettings(method="lora")).method == "lora"
    with pytest.raises(ValueError, match="low-rank adapters belong to a trained checkpoint"):
        choose_plan(AdaptationSettings(method="lora"), replace(CHECKPOINT, kind="encoder"), train_hours=1.0)


@pytest.mark.parametrize(
    "pretrain, train, untranscribed, share, words",
    [
        (None, 1.0, 0.4, 0.0, None),
        (None, 1.0, 3.0, 0.0, "none, but --pretrain may pay: there are 3.0 h without text beside 1.0 h with text"),
        ("", 1.0, 4.0, 0.4, "40% of the time, for 4.0 h without text beside 1.0 h with text, which should pay"),
        ("more", 1.0, 0.25, 0.1, "pays rarely below 0.5 h, or with less speech than there is with text"),
    ],
)
def test_pretraining_has_a_share_of_the_time_by_the_hours_without_text(pretrain, train, untranscribed, share, words):
    settings = AdaptationSettings(pretrain=pretrain)
    choice = choose_pretraining(settings, train_hours=train, untranscribed_hours=untranscribed)
    assert choice.share == pytest.approx(share)
    assert choice.reason is None if words is None else words in choice.reason
    if share:
        assert choose_pretraining_steps(share, 60, None, 1.0) == math.ceil(60 * share / (1 - share))
        assert choose_pretraining_steps(share, 60, 1000.0, 2.0) == pytest.approx(500 * share, abs=1)


def test_pretraining_needs_speech_and_changes_all_weights():
    with pytest.raises(ValueError, match="no speech without text to pre-train on"):
        choose_pretraining(AdaptationSettings(pretrain=""), train_hours=1.0, untranscribed_hours=0.0)
    with pytest.raises(ValueError, match="`pretrain` changes all weights, but the method lora keeps them"):
        AdaptationSettings(pretrain="", method="lora")


@pytest.mark.parametrize("mode", ["direct", "noisy", "gradual"])
@pytest.mark.parametrize("method", ["full", "frozen", "lora"])
def test_the_recipe_is_a_recipe(tmp_path, mode, method):
    record = SpeechTextRecord(id="a", audio=str(tmp_path / "a.wav"), text="a b", lang="es", duration_seconds=1.0)
    for name in ("train", "dev", "replay"):
        write_manifest([record], tmp_path / f"{name}.jsonl")
    settings = AdaptationSettings(mode=mode, method=method, replay="replay.jsonl", seed=3)
    plan = choose_plan(settings, CHECKPOINT, train_hours=1.0, replay_hours=1.0)
    plan = choose_steps(plan, settings, PACE, train_hours=1.0, seconds_left=None)
    files = TrainingFiles(
        train=tmp_path / "train.jsonl",
        dev=tmp_path / "dev.jsonl",
        tasks=("asr",),
        languages=("es",),
        replay=tmp_path / "replay.jsonl",
        replay_languages=("es",),
    )
    tree = build_recipe_tree(plan, settings, files, tmp_path / "run", num_encoder_layers=8)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    recipes = load_recipes(tmp_path / "recipe.yaml")
    assert sum(recipe.training.max_steps for recipe in recipes) == plan.max_steps
    assert {recipe.training.seed for recipe in recipes} == {3}
    assert (recipes[0].lora is not None) == (method == "lora")
    assert (recipes[0].decoder_noise is not None) == (mode == "noisy")
    assert ("model.encoder.conformer.layers.3." in recipes[0].model.freeze) == (method == "frozen")
    assert set(recipes[0].processor.add_languages) == {"mdw", "fr"}
    if mode == "gradual" and method == "lora":
        (recipe,) = recipes
        assert [phase.name for phase in recipe.data.curriculum] == ["all", "recordings"]
        assert recipe.data.curriculum[1].corpus_weights == {"recordings": 1.0}
    elif mode == "gradual":
        assert recipes[1].processor.add_languages == {}
        first, second = recipes
        assert first.data.curriculum == [] and set(first.data.corpora) == {"recordings", "replay"}
        assert second.data.curriculum[0].corpus_weights == {"recordings": 1.0}
