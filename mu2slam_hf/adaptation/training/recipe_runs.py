# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Typed recipes and runs from the plain values of a recipe, without a file in between."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mu2slam_hf.recipes.runs.registry import RUNS, build_run, split_stages, unfinished_stages
from mu2slam_hf.recipes.runs.run import Run
from mu2slam_hf.recipes.schema.loader import DEFAULT_KIND, build_section


def build_recipes(tree: Mapping[str, Any]) -> list[Any]:
    """The recipe of some values, or one for each of its stages.

    Args:
        tree: values as in a YAML file; relative paths start at the working directory.

    Raises:
        RecipeError: an unknown key, a wrong type, or a missing file.
    """
    values = {"kind": DEFAULT_KIND, **tree}
    folders = [Path.cwd()]
    recipe: Any = build_section(RUNS[values["kind"]].recipe_class, values, "", folders)
    return split_stages(recipe, values, folders) if getattr(recipe, "stages", None) else [recipe]


def remaining_runs(tree: Mapping[str, Any]) -> Iterator[Run]:
    """The runs of a recipe that are not finished, one after the other; each must be finished before the next."""
    for recipe in unfinished_stages(build_recipes(tree)):
        yield build_run(recipe)
