# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from lab.recipe_files import CONFIGURATION, find_recipe, find_study
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.shipped import configuration_folder, list_recipes


def test_recipes_of_the_laboratory_and_of_the_package_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = CONFIGURATION / "recipes" / "mu2slam" / "study_finetune.yaml"
    assert find_recipe("study_finetune") == find_recipe("mu2slam/study_finetune") == find_recipe(expected) == expected
    lora = configuration_folder() / "recipes" / "mu2slam" / "finetune_lora.yaml"
    assert find_recipe("finetune_lora") == find_recipe("mu2slam/finetune_lora") == lora
    with pytest.raises(RecipeError, match="mslam/study_finetune: no such recipe"):
        find_recipe("mslam/study_finetune")
    (tmp_path / "study_finetune").touch()
    assert find_recipe("study_finetune").resolve() == tmp_path / "study_finetune", "a file goes before a name"


def test_no_recipe_of_the_laboratory_has_a_name_of_the_package():
    names = {path.stem for path in (CONFIGURATION / "recipes").rglob("*.yaml")}
    assert names and not names & {recipe.path.stem for recipe in list_recipes()}


def test_an_unknown_study_is_an_error_with_the_known_ones():
    assert find_study("data") == CONFIGURATION / "studies" / "data.yaml"
    with pytest.raises(
        RecipeError,
        match=r"dta: no such study: .* \(best_rq, data, dual_encoder, equal_time, findings, mboshi, speech_llm\)",
    ):
        find_study("dta")
