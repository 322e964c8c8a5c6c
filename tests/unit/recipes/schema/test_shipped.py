# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.cli import main
from mu2slam_hf.data.corpora.registry import CORPORA
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.shipped import configuration_folder, find_recipe, list_recipes, search_folders

RECIPES = REPOSITORY_ROOT / "configuration" / "recipes"


def test_recipes_are_found_by_path_and_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = configuration_folder() / "recipes" / "mu2slam" / "finetune_lora.yaml"
    assert expected.read_bytes() == (RECIPES / "mu2slam" / "finetune_lora.yaml").read_bytes()
    for name in ("finetune_lora", "mu2slam/finetune_lora", "configuration/recipes/mu2slam/finetune_lora.yaml"):
        assert find_recipe(name) == expected
    (tmp_path / "finetune_lora").touch()
    assert find_recipe("finetune_lora").resolve() == tmp_path / "finetune_lora", "a file goes before a name"
    with pytest.raises(
        RecipeError, match="several recipes .* give maestro/pretrain_tiny_test or mslam/pretrain_tiny_test or mu2slam"
    ):
        find_recipe("pretrain_tiny_test")
    with pytest.raises(RecipeError, match=r"finetune_lroa: no such recipe.*did you mean mu2slam/finetune_lora"):
        find_recipe("finetune_lroa")
    with pytest.raises(RecipeError, match=r"zzz: no such recipe.*`mu2slam recipes` lists the names"):
        find_recipe("zzz")
    assert (search_folders(tmp_path / "x.yaml")[-1] / "configuration").samefile(configuration_folder())


def test_every_recipe_is_listed_with_its_kind_and_what_it_is(capsys):
    recipes = list_recipes()
    names = {path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml")}
    assert {recipe.name for recipe in recipes} == names
    assert all(len(recipe.summary) > 15 and recipe.kind for recipe in recipes)
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(recipes) + 1 and max(map(len, lines)) < 170
    for line, recipe in zip(lines, recipes, strict=False):
        assert line.startswith(f"{recipe.name} ") and f" {recipe.kind} " in line
    assert main(["recipes", "finetune_lora"]) == 0
    assert capsys.readouterr().out == find_recipe("finetune_lora").read_text(encoding="utf-8")
    assert main(["recipes", "zzz"]) == 1 and "no such recipe" in capsys.readouterr().err
    assert main(["train", "--recipe", "pretrain_tiny_test"]) == 1 and "several recipes" in capsys.readouterr().err


def test_every_corpus_is_listed_and_described(capsys):
    assert main(["corpora"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["corpus", "tasks", "languages", "hours", "licence", "source"]
    for line, corpus in zip(lines, CORPORA.values(), strict=True):
        assert line.split()[0] == corpus.name and line.endswith(corpus.source) and corpus.licence[:20] in line
    for corpus in CORPORA.values():
        assert main(["corpora", corpus.name]) == 0
        text = capsys.readouterr().out
        for part in (corpus.licence, corpus.citation, corpus.how_to_get, corpus.paper_use, *corpus.identifiers):
            assert part in text
    assert main(["corpora", "prompts6"]) == 1 and "prompts5, stamps" in capsys.readouterr().err
