# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipes with stages: consecutive runs, each from the result of the previous one (gradual fine-tuning)."""

import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mu2slam_hf.recipes.loader import RecipeError, build_section, set_value
from mu2slam_hf.recipes.recipe_changes import check_resumable
from mu2slam_hf.recipes.run import final_folder

logger = logging.get_logger(__name__)


def split_stages(recipe: Any, tree: dict[str, Any], folders: Iterable[Path]) -> list[Any]:
    """One recipe for each stage.

    Args:
        recipe: recipe with `stages`.
        tree: its plain values, after overrides.
        folders: folders to search for relative paths.

    Raises:
        RecipeError: a stage sets an unknown or invalid value.
    """
    shared = {name: value for name, value in tree.items() if name != "stages"}
    recipes = []
    for number, stage in enumerate(recipe.stages):
        own = copy.deepcopy(shared)
        for name, value in stage.set.items():
            set_value(own, name, copy.deepcopy(value))
        output = own.setdefault("output", {})
        output["dir"] = os.path.join(recipe.output.dir, f"{number + 1}_{stage.name}")
        if number == len(recipe.stages) - 1:
            output["final"] = recipe.output.final or os.path.join(recipe.output.dir, "final")
        try:
            recipes.append(build_section(type(recipe), own, "", folders))
        except RecipeError as error:
            raise RecipeError(f"stages.{number}.set: {error}") from error
    return recipes


def unfinished_stages(recipes: Sequence[Any]) -> Iterator[Any]:
    """The recipes of `split_stages` that are not finished, each with the result of the previous one as its start.

    A stage is finished when its final folder exists. A recipe without stages is always run: its trainer checks
    whether training is complete.

    Raises:
        RecipeError: a finished stage has other values, see `check_resumable`.
    """
    before: Path | None = None
    for recipe in recipes:
        final = final_folder(recipe)
        if before is not None:
            start = replace(recipe.model, config=None, init_from=str(before.resolve()), init_encoder_from=None)
            recipe = replace(recipe, model=start, processor=replace(recipe.processor, init_from=None))
        if len(recipes) > 1 and recipe.training.resume and final.is_dir():
            check_resumable(recipe)
            logger.warning(f"{recipe.output.dir} is finished; skipped. Delete {final} to run it again.")
        else:
            yield recipe
        before = final
