# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What an adaptation chooses, and how its recipe reads."""

import math
import re
from dataclasses import replace

import pytest
import yaml

from mu2slam_hf.adaptation.training.pace import ClosingPace, Pace, TimeBudget
from mu2slam_hf.adaptation.training.plan import Plan, choose_plan, choose_steps
from mu2slam_hf.adaptation.training.pretraining import choose_pretraining, choose_pretraining_steps
from mu2slam_hf.adaptation.training.recipe_runs import build_recipes
from mu2slam_hf.adaptation.training.recipes import TrainingFiles, build_recipe_tree
from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.adaptation.training.start import Start
from mu2slam_hf.checkpoints import default_checkpoint
from mu2slam_hf.data.manifests import write_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.recipes.runs.registry import load_recipes

CHECKPOINT = Start(
    kind="checkpoint",
    name="default",
    folder=default_checkpoint(),
    num_parameters=8_000_000,
    num_encoder_layers=8,
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


CLOSING = ClosingPace(score_seconds=60.0, clip_seconds=0.5)


def choose(seconds=None, hours=4.0, pace=PACE, spent=100.0, share=0.0, **settings) -> Plan:
    """A plan for a time; `spent` of it is gone."""
    budget = None
    if seconds is not None:
        budget = TimeBudget(total_seconds=seconds, spent_seconds=spent, closing=CLOSING, pretraining_share=share)
    chosen = AdaptationSettings(time_seconds=seconds, **settings)
    return choose_steps(make_plan(hours=hours), chosen, pace, train_hours=hours, budget=budget)


@pytest.mark.parametrize("seconds", [360.0, 480.0, 900.0, 3600.0, 7200.0])
def test_everything_together_takes_the_time(seconds):
    """What is gone, updates, evaluations with two more for the choice of the weights, scores and calibration."""
    plan = choose(seconds)
    evaluations = math.ceil(plan.max_steps / plan.eval_steps) + 2
    afterwards = 60 + 0.5 * plan.calibration_clips
    planned = 100 + plan.max_steps * 0.5 + evaluations * 10 + afterwards
    assert 0.92 * seconds < planned <= seconds
    assert afterwards <= plan.closing_seconds < afterwards + 10


def test_short_times_have_less_calibration_and_fewer_evaluations():
    short, long = choose(360.0), choose(7200.0)
    assert (short.calibration_clips, long.calibration_clips) == (80, 400)
    evaluations = [round(plan.max_steps / plan.eval_steps) for plan in (short, long)]
    assert evaluations[0] < evaluations[1] == 12


def test_a_time_in_which_nothing_can_be_trained_is_refused():
    """The message names the shortest time that is accepted, in whole minutes."""
    with pytest.raises(ValueError, match=r"^--time 4 min is too short: .* give at least (\d+) min$") as raised:
        choose(240.0)
    enough = int(re.search(r"at least (\d+) min", str(raised.value))[1])
    assert choose(enough * 60.0).max_steps >= 60
    with pytest.raises(ValueError, match="too short"):
        choose((enough - 1) * 60.0)
    with pytest.raises(ValueError, match="--time 10 s is too short: .* leaves 0 updates"):
        choose(10.0)


def test_few_updates_are_said():
    assert "300 or more" in choose(360.0).reasons["few updates"]
    assert "few updates" not in choose(900.0).reasons
    minutes = int(re.search(r"would be (\d+) min", choose(360.0).reasons["few updates"])[1])
    assert "few updates" not in choose(minutes * 60.0).reasons


def test_pretraining_leaves_its_share_of_the_time():
    assert choose(3600.0, share=0.5).max_steps < 0.6 * choose(3600.0).max_steps


def test_the_number_of_updates_without_a_time():
    # 4 h in batches of 60 s are 240 updates: 40 passes without a time, at most 150 with one
    assert choose().max_steps == 40 * 240
    assert choose(1e6).max_steps == 150 * 240
    few = choose(max_steps=7)
    assert (few.max_steps, few.eval_steps) == (7, 3)
    assert choose(max_steps=1).eval_steps == 1
    assert few.calibration_clips == 400


def test_a_model_that_is_continued_is_trained_with_a_lower_rate():
    usual = choose_plan(AdaptationSettings(), CHECKPOINT, train_hours=1.0)
    continued = choose_plan(AdaptationSettings(), CHECKPOINT, train_hours=1.0, continued=True)
    assert continued.learning_rate == usual.learning_rate / 4
    assert "continued" in continued.reasons and "continued" not in usual.reasons


def test_a_stored_plan_is_read_as_it_was(tmp_path):
    plan = choose_steps(make_plan(), AdaptationSettings(), PACE, train_hours=1.0, budget=None)
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
    plan = choose_steps(plan, settings, PACE, train_hours=1.0, budget=None)
    files = TrainingFiles(
        train=tmp_path / "train.jsonl",
        dev=tmp_path / "dev.jsonl",
        tasks=("asr",),
        languages=("es",),
        replay=tmp_path / "replay.jsonl",
        replay_languages=("es",),
    )
    tree = build_recipe_tree(plan, settings, files, tmp_path / "run")
    recipes = build_recipes(tree)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    assert load_recipes(tmp_path / "recipe.yaml") == recipes, "a resumed adaptation reads the file"
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
