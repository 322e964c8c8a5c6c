# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Stages of a recipe: their own values, folders, and where each starts."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from mslam_batches import make_model as make_mslam

from mu2slam_hf.recipes.runs.finetuning import FinetuningRecipe, FinetuningRun
from mu2slam_hf.recipes.runs.pretraining import PretrainingRun
from mu2slam_hf.recipes.runs.registry import load_recipes, load_runs, unfinished_stages
from mu2slam_hf.recipes.runs.run import final_folder, round_weights
from mu2slam_hf.recipes.schema.loader import RecipeError

TREE = {
    "model": {"overrides": {"a.b": 1}},
    "training": {"max_steps": 300, "seed": 4},
    "output": {"dir": "run"},
    "stages": [
        {"name": "multitask"},
        {
            "name": "asr",
            "set": {
                "training.max_steps": 20,
                "training.load_best_model_at_end": True,
                "data.curriculum": [{"steps": 5}],
            },
        },
    ],
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(tree):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(tree))
        return path

    return write


def test_each_stage_has_its_values_and_its_folder(write):
    first, second = load_recipes(write(TREE), ["training.seed=5", "stages.1.set.training.max_steps=30"])
    assert (first.training.max_steps, first.training.load_best_model_at_end, first.training.seed) == (300, False, 5)
    assert (second.training.max_steps, second.training.load_best_model_at_end, second.training.seed) == (30, True, 5)
    assert (first.output.dir, str(final_folder(first))) == ("run/1_multitask", "run/1_multitask/final")
    assert (second.output.dir, str(final_folder(second))) == ("run/2_asr", "run/final")
    assert second.data.curriculum[0].steps == 5 and first.data.curriculum == []
    assert first.stages == second.stages == []


def test_a_recipe_without_stages_is_one_run(write):
    tree = {**TREE, "stages": []}
    (run,) = load_recipes(write(tree))
    assert run.output.dir == "run" and str(final_folder(run)) == "run/final"
    final_folder(run).mkdir(parents=True)
    assert list(unfinished_stages([run])) == [run], "its trainer decides what is left to do"


def test_a_stage_starts_from_the_result_of_the_one_before_and_finished_ones_are_skipped(write):
    path = write(TREE)
    done = []
    for run in unfinished_stages(load_recipes(path)):
        done.append(run)
        final_folder(run).mkdir(parents=True)
    assert [run.model.init_from for run in done] == [None, str(Path("run/1_multitask/final").resolve())]
    assert done[1].model.config is None and done[1].model.overrides == {"a.b": 1}
    assert list(unfinished_stages(load_recipes(path))) == []
    final_folder(done[1]).rmdir()
    (left,) = unfinished_stages(load_recipes(path))
    assert left == done[1]
    assert len(list(unfinished_stages(load_recipes(path, ["training.resume=false"])))) == 2


def test_either_kind_of_recipe_is_run(write):
    done = []
    for tree, overrides in (({"kind": "pretraining"}, ["training.seed=2"]), (TREE, [])):
        for run in load_runs(write(tree), overrides):
            done.append((type(run), run.recipe.training.seed))
            final_folder(run.recipe).mkdir(parents=True)
    assert done == [(PretrainingRun, 2), *[(FinetuningRun, 4)] * 2]


def test_errors_of_a_stage_come_before_the_first_one_starts(write):
    tree = {**TREE, "stages": [{"name": "a"}, {"name": "b", "set": {"training.max_step": 3}}]}
    with pytest.raises(RecipeError, match=r"stages\.1\.set: training\.max_step: unknown key; did you mean"):
        load_recipes(write(tree))


def test_rounded_weights_leave_what_must_stay_float32():
    model = make_mslam(quantizer_method="nearest")
    round_weights(model)
    types = {name: tensor.dtype for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    assert types["quantizer.codebook"] == types["quantizer.linear.weight"] == torch.float32
    assert types["ctc_head.bias"] == torch.bfloat16 and types["quantizer.updates"] == torch.int64
    assert model.mlm_head.weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("averaged_loss, chosen", [(1.0, "average"), (3.0, "best")])
def test_the_better_of_average_and_best_checkpoint_is_the_result(tmp_path, averaged_loss, chosen):
    """The best checkpoint has a loss of 2."""

    class Trainer:
        loaded = ""
        state = SimpleNamespace(best_global_step=2, global_step=6)

        def load_averaged_weights(self, checkpoints):
            assert [path.name for path in checkpoints] == ["checkpoint-4", "checkpoint-6"]
            self.loaded = "average"

        def load_best_checkpoint(self):
            self.loaded = "best"

        def evaluate(self):
            return {"eval_loss": averaged_loss}

        def improves_on_best(self, metrics):
            return metrics["eval_loss"] <= 2.0

    recipe = FinetuningRecipe()
    recipe.output.dir = str(tmp_path)
    recipe.training.average_last, recipe.training.load_best_model_at_end = 2, True
    for step in (2, 4, 6):
        (tmp_path / f"checkpoint-{step}").mkdir()
    trainer = Trainer()
    assert FinetuningRun(recipe)._choose_weights(trainer)
    assert trainer.loaded == chosen
