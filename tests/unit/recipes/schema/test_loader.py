# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes are read strictly: every error names the dotted path and, where it can, the nearest name."""

import math

import pytest

from mu2slam_hf.recipes.runs.registry import load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError, apply_override, dump_recipe


def load(tmp_path, text, *overrides):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, overrides)


def test_an_empty_recipe_holds_the_defaults(tmp_path):
    recipe = load(tmp_path, "")
    assert recipe.optim.schedule == "warmup_cosine" and recipe.lora is None and recipe.data.curriculum == []


def test_numbers_written_as_yaml_strings_are_numbers(tmp_path):
    recipe = load(tmp_path, "optim: {learning_rate: 2e-4, weight_decay: 0}\ntraining: {max_steps: 1e3}")
    assert recipe.optim.learning_rate == 2e-4
    assert recipe.optim.weight_decay == 0.0
    assert recipe.training.max_steps == 1000 and isinstance(recipe.training.max_steps, int)


@pytest.mark.parametrize(
    "text, message",
    [
        ("optim: {learing_rate: 1}", r"optim\.learing_rate: unknown key; did you mean 'learning_rate'\?"),
        ("optimiser: {}", r"optimiser: unknown key; did you mean 'optim'\?"),
        ("optim: {learning_rate: fast}", r"optim\.learning_rate: expected a number, got str 'fast'"),
        ("optim: {learning_rate: true}", r"optim\.learning_rate: expected a number, got bool"),
        ("training: {max_steps: 1.5}", r"training\.max_steps: expected an integer, got float"),
        ("training: {bf16: 1}", r"training\.bf16: expected true or false, got int"),
        ("training: {seed: }", r"training\.seed: .*got NoneType"),
        ("optim: {schedule: noan}", r"optim\.schedule: expected one of noam, .*did you mean 'noam'"),
        ("data: {languages: en}", r"data\.languages: expected a list"),
        ("data: {languages: [1]}", r"data\.languages\.0: expected a string"),
        (
            "data: {curriculum: [{steps: 1, corpus_weight: {}}]}",
            r"curriculum\.0\.corpus_weight: unknown key; did you mean 'corpus_weights'",
        ),
        ("data: {corpora: {a: {weight: x}}}", r"data\.corpora\.a\.weight: expected a number"),
        ("data: {waveform: {speed_factors: [9]}}", r"data\.waveform: .*in \[0\.5, 2\]"),
        ("data: {batch: {max_seconds: -1}}", r"data\.batch: .*above 0"),
        ("kind: finetunning", r"kind: expected one of finetuning"),
        ("optim: {optimizer: adam}", r"optim: Adam does not support weight decay"),
        (
            "training: {early_stopping_patience: 2}",
            r"training: early_stopping_patience requires load_best_model_at_end",
        ),
        (
            "training: {load_best_model_at_end: true, early_stopping_patience: 0}",
            r"training: early_stopping_patience must be at least 1, got 0",
        ),
        (
            "training: {load_best_model_at_end: true, eval_steps: 0}",
            r"training: load_best_model_at_end requires evaluations",
        ),
        ("decoder_noise: {ratio: 1.5}", r"decoder_noise: .*ratio"),
        ("stages: [{name: a/b}]", r"stages\.0: name 'a/b' is used in the name of a folder"),
        ("stages: [{name: a, set: {output.dir: x}}]", r"stages\.0: set: output.dir is the same"),
        ("model: 3", r"model: expected a section"),
        ("- 1", "expected a mapping of sections"),
        ("a: [", "recipe.yaml: not valid YAML in line 1: [^\n]*$"),
        ("optim: {}\ntraining: {}\noptim: {}", "the key 'optim' stands twice, first in line 1"),
        ("optim: {warmup_steps: 1, warmup_steps: 2}", "the key 'warmup_steps' stands twice"),
        ("model: {config: tiny.jso}", r"model\.config: no such file: 'tiny\.jso'"),
        # An unset variable would be an empty name, and that the working directory.
        (
            "{kind: pretraining, data: {corpora: {a: {name: mc4, root: '${NO_SUCH}'}}}}",
            r"corpora\.a\.root: the environment variable NO_SUCH is not set",
        ),
        ("model: {init_encoder_from: '${NO_SUCH}'}", "init_encoder_from: the environment variable NO_SUCH is not set"),
        (
            "model: {init_from: '${NO_SUCH:-runs/none}'}",
            r"model\.init_from: no such folder: 'runs/none' \(.*set the environment variable NO_SUCH",
        ),
    ],
)
def test_errors_say_where_and_what(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "kind, override, message",
    [
        ("mu2slam", "objective.asr_backwards_mlm=1", r"\.asr_backwards_mlm: unknown key; did you mean 'asr_backward"),
        ("mu2slam", "data.tasks.tts.share=1", r"data: tasks\.tts: unknown; the tasks are speech, text, asr"),
        (
            "mu2slam",
            "data.tasks.mt.corpus_weights={trian: 1}",
            r"data: tasks\.mt\.corpus_weights\.trian: no such corpus.*\(train\)",
        ),
        ("mu2slam", "data.tasks.mt.shares=1", r"data\.tasks\.mt\.shares: unknown key; did you mean 'share'"),
        ("mu2slam", "masking.text_ratio=2", r"masking: .*text_ratio"),
        ("mu2slam", "data.limits.max_seconds=-1", r"data\.limits: .*max_seconds"),
        ("mu2slam", "speech_tokenizer.kind=kmean", r"_tokenizer\.kind: expected one of .*did you mean 'kmeans'"),
        ("mu2slam", "speech_tokenizer.init_from=nowhere", r"speech_tokenizer\.init_from: no such folder"),
        ("mu2slam", "decoder_noise.ratio=0.1", r"decoder_noise: unknown key"),
        ("mslam", "data.tasks.mt={}", "data.tasks.mt: mSLAM supports speech, text, asr only"),
        ("mslam", "data.max_row_length=100", "data.max_row_length: batches of mSLAM have no packed rows"),
        ("mslam", "masking.tlm_text_ratio=0", "masking: .*tlm_text_ratio"),
        ("mslam", "quantizer.min_gumbel_temperature=5", "min_gumbel_temperature must be between 0 and max_"),
    ],
)
def test_errors_of_pre_training_say_where_and_what(load_tiny, kind, override, message):
    with pytest.raises(RecipeError, match=message):
        load_tiny(kind, override)


@pytest.mark.parametrize(
    "found, wanted, message",
    [
        ("text_tokenizer", None, "files: at least one is required"),
        ("speech_tokenizer", "pretraining", "is a recipe of kind speech_tokenizer, not pretraining; use `mu2slam tr"),
        ("sing", None, r"kind: expected one of finetuning, .*; got 'sing'$"),
        ("pretrainin", None, r"did you mean 'pretraining'\?$"),
        ("pretraining", "finetuning", "kind: .* is a recipe of kind pretraining, not finetuning; use `mu2slam train"),
        ("finetuning", "pretraining", "is a recipe of kind finetuning, not pretraining; use `mu2slam train"),
        ("mslam_pretraining", "pretraining", "recipe of kind mslam_pretraining, not pretraining"),
        ("head_finetuning", "mslam_pretraining", "recipe of kind head_finetuning, not mslam_pretraining"),
    ],
)
def test_kinds_of_recipes(tmp_path, found, wanted, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"kind: {found}")
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, kind=wanted)


def test_missing_file_names_its_nearest_neighbour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"model\.config: no such file: 'tinny.json'; did you mean 'tiny.json'"):
        load(tmp_path, "model: {config: tinny.json}")
    assert load(tmp_path, "model: {config: tiny.json}").model.config == str(tmp_path / "tiny.json")


def test_paths_read_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CORPUS_HOME", str(tmp_path))
    (tmp_path / "train.tsv").write_text("")
    text = "data:\n  corpora:\n    a:\n      manifest: ${CORPUS_HOME}/train.tsv\n      root: ${NO_SUCH:-.}\n"
    corpus = load(tmp_path, text).data.corpora["a"]
    assert corpus.manifest == str(tmp_path / "train.tsv")
    assert corpus.root is not None


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"binary\.yaml: not a recipe: not valid UTF-8"):
        load_recipe(tmp_path / "binary.yaml")


def test_an_override_that_is_no_yaml_is_named():
    with pytest.raises(RecipeError, match=r"--set 'training.max_steps=\[1': the value is not valid YAML: expected"):
        apply_override({}, "training.max_steps=[1")


def test_overrides(tmp_path):
    text = "data: {curriculum: [{name: a, steps: 3}, {name: b}]}"
    recipe = load(
        tmp_path, text, "training.max_steps=7", "data.curriculum.0.steps=2", "lora.r=4", "model.overrides={x: 1}"
    )
    assert recipe.training.max_steps == 7
    assert [phase.steps for phase in recipe.data.curriculum] == [2, None]
    assert recipe.lora is not None and recipe.lora.r == 4
    assert recipe.model.overrides == {"x": 1}


def test_all_after_the_name_of_a_dotted_mapping_is_one_name(tmp_path):
    overrides = ("model.overrides.encoder_config.hidden_size=8", "stages.0.set.training.max_steps=9")
    recipe = load(tmp_path, "stages: [{name: a, set: {training.seed: 3}}]", *overrides)
    assert recipe.model.overrides == {"encoder_config.hidden_size": 8}
    assert recipe.stages[0].set == {"training.seed": 3, "training.max_steps": 9}


@pytest.mark.parametrize("override", ["training.max_steps", "=3", "data.curriculum.5.steps=1", "training.seed.x=1"])
def test_bad_overrides(override):
    with pytest.raises(RecipeError):
        apply_override({"data": {"curriculum": []}, "training": {"seed": 1}}, override)


def test_a_recipe_survives_being_saved(tmp_path):
    text = (
        "data: {targets: {task_weights: {asr: .inf}}, waveform: {speed_factors: [0.9, 1.1]}, "
        "curriculum: [{steps: 2}]}\n"
        "lora: {target_modules: 'q_.*'}\n"
    )
    recipe = load(tmp_path, text)
    assert recipe.data.targets.task_weights == {"asr": math.inf}
    assert dump_recipe(load(tmp_path, dump_recipe(recipe))) == dump_recipe(recipe)


def test_no_such_recipe(tmp_path):
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "absent.yaml")


def test_files_that_take_too_long_are_refused(tmp_path):
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 5000)
    with pytest.raises(RecipeError, match="too many levels"):
        load_recipe(tmp_path / "deep.yaml")
    (tmp_path / "long.yaml").write_text("a: 1\n" * 500_000)
    with pytest.raises(RecipeError, match="larger than 2 MB"):
        load_recipe(tmp_path / "long.yaml")
    with pytest.raises(RecipeError, match="too many levels"):
        apply_override({}, "a=" + "[" * 5000)
