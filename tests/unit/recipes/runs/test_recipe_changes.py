# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A run is resumed with the values that it began with, or says which ones differ."""

import shutil

import pytest
import yaml

from mu2slam_hf.recipes.runs.recipe_changes import check_resumable, find_changes
from mu2slam_hf.recipes.runs.registry import build_run, unfinished_stages
from mu2slam_hf.recipes.runs.run import save_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError, dump_recipe


@pytest.fixture
def begun(load_tiny, tmp_path):
    """`begun(kind)`: the output folder of a run that was stopped after a checkpoint."""

    def begin(kind: str):
        save_recipe(load_tiny(kind), tmp_path / "run")
        (tmp_path / "run" / "checkpoint-4").mkdir()
        return tmp_path / "run"

    return begin


@pytest.mark.parametrize("kind", ["supervised", "mu2slam", "mslam"])
def test_a_recipe_equals_the_one_that_it_wrote(load_tiny, begun, kind):
    folder = begun(kind)
    assert check_resumable(load_tiny(kind)) == []
    assert build_run(load_tiny(kind)).checkpoint == str(folder / "checkpoint-4")


@pytest.mark.parametrize(
    "override, name",
    [
        ("objective.ctc=3", "objective.ctc"),
        ("optim.learning_rate=0.5", "optim.learning_rate"),
        ("training.seed=7", "training.seed"),
        ("data.corpora.train.tasks=[asr]", "data.corpora.train.tasks"),
        ("model.overrides.encoder_config.hidden_dropout=0.5", "model.overrides.encoder_config.hidden_dropout"),
    ],
)
def test_values_that_decide_what_is_learned_are_refused(load_tiny, begun, override, name):
    folder = begun("supervised")
    with pytest.raises(RecipeError, match=rf"^{name}: .*began with other values: {name} \(.* before, .* now\)"):
        build_run(load_tiny("supervised", override))
    build_run(load_tiny("supervised", override, "training.resume=false"))
    shutil.rmtree(folder / "checkpoint-4")
    build_run(load_tiny("supervised", override))


def test_all_refused_values_are_named(load_tiny, begun):
    begun("supervised")
    with pytest.raises(
        RecipeError, match=r"objective\.ctc \(.*\), training\.seed \(0 before, 7 now\)\. Set them back"
    ):
        build_run(load_tiny("supervised", "training.seed=7", "objective.ctc=3", "training.max_steps=9"))


def test_length_and_reports_may_change_and_paths_too(load_tiny, begun, tones, tmp_path):
    begun("supervised")
    moved = shutil.copyfile(tones, tones.with_name("moved.tsv"))
    free = {"training.max_steps": 11, "training.logging_steps": 3, "training.dataloader_num_workers": 2}
    overrides = [f"{name}={value}" for name, value in free.items()]
    run = build_run(load_tiny("supervised", *overrides, f"data.corpora.train.manifest={moved}"))
    found = {change.name: change.now for change in run.changes}
    assert found == {**free, "data.corpora.train.manifest": str(moved)}


def test_the_changes_of_a_resumed_run_are_logged(load_tiny, tmp_path, monkeypatch):
    load = ("supervised", "training.eval_steps=0", "training.disable_tqdm=true")
    build_run(load_tiny(*load, "training.max_steps=4")).run()
    logged = []
    monkeypatch.setattr("mu2slam_hf.recipes.runs.run.logger.warning", logged.append)
    build_run(load_tiny(*load, "training.max_steps=5")).run()
    assert [line for line in logged if "is resumed with changed values: training.max_steps (4 before, 5 now)" in line]


def test_a_field_that_an_older_recipe_does_not_have_is_no_change(load_tiny):
    recipe = load_tiny("supervised")
    before = yaml.safe_load(dump_recipe(recipe))
    del before["objective"]["label_smoothing"], before["lora"]
    assert recipe.objective.label_smoothing == type(recipe.objective)().label_smoothing
    assert list(find_changes(recipe, before)) == []


def test_a_finished_stage_with_other_values_is_not_skipped(load_tiny, begun):
    folder = begun("supervised")
    (folder / "final").mkdir()
    other = load_tiny("supervised", "objective.ctc=3")
    with pytest.raises(RecipeError, match=r"objective\.ctc \("):
        list(unfinished_stages([other, other]))
