# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The kinds of recipes, and the runs of a recipe file: one, or one for each of its stages."""

import copy
import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers.utils import logging

from mu2slam_hf.recipes.runs.dual_encoder import DualEncoderRun
from mu2slam_hf.recipes.runs.finetuning import FinetuningRun, MultitaskFinetuningRun
from mu2slam_hf.recipes.runs.head_finetuning import HeadFinetuningRun
from mu2slam_hf.recipes.runs.mslam_pretraining import MaestroPretrainingRun, MSLAMPretrainingRun
from mu2slam_hf.recipes.runs.pretraining import PretrainingRun
from mu2slam_hf.recipes.runs.recipe_changes import check_resumable
from mu2slam_hf.recipes.runs.run import RecipeRun, final_folder
from mu2slam_hf.recipes.runs.speech_llm import SpeechLLMRun
from mu2slam_hf.recipes.runs.speech_synthesis import SpeechSynthesisRun
from mu2slam_hf.recipes.runs.speech_tokenizer import SpeechTokenizerRun
from mu2slam_hf.recipes.runs.text_tokenizer import TextTokenizerRun
from mu2slam_hf.recipes.schema.loader import (
    DEFAULT_KIND,
    RecipeError,
    apply_override,
    build_section,
    read_tree,
    set_value,
)
from mu2slam_hf.recipes.schema.shipped import find_recipe, search_folders

logger = logging.get_logger(__name__)

RUNS: dict[str, type[RecipeRun]] = {
    run.recipe_class.kind: run
    for run in (
        *(FinetuningRun, MultitaskFinetuningRun, PretrainingRun, MSLAMPretrainingRun, HeadFinetuningRun),
        *(MaestroPretrainingRun, DualEncoderRun, SpeechLLMRun, SpeechTokenizerRun, TextTokenizerRun),
        SpeechSynthesisRun,
    )
}
"""`kind` of a recipe -> class of its run."""


RecipePath = str | os.PathLike[str] | None
"""YAML file, or the name of a recipe of the package (see `find_recipe`); None if the overrides are the recipe."""

Kinds = str | tuple[str, ...] | None
"""Expected kind of a recipe, or several; None for any of `RUNS`. The first one is that of a file that names none."""


def load_recipe(path: RecipePath, overrides: Sequence[str] = (), kind: Kinds = None) -> Any:
    """Read a recipe and apply overrides.

    Args:
        path: see `RecipePath`.
        overrides: `a.b=c` each, applied in order; the value is read as YAML, list items by their number.
        kind: expected kind of the recipe, see `Kinds`.

    Returns:
        An instance of the `recipe_class` of its run.

    Raises:
        RecipeError: unknown key (with the most similar known one), wrong type, missing file, invalid YAML, other kind.
    """
    tree, folders = _read(path, overrides, kind)
    return build_section(RUNS[tree["kind"]].recipe_class, tree, "", folders)


def load_recipes(path: RecipePath, overrides: Sequence[str] = (), kind: Kinds = None) -> list[Any]:
    """As `load_recipe`: the recipe itself, or one for each of its stages with the values of the stage.

    Values of a stage take precedence over the overrides (`stages.0.set.training.max_steps=9` changes them).

    Raises:
        RecipeError: as `load_recipe`, for every stage before the first one starts.
    """
    recipe = load_recipe(path, overrides, kind)
    if not getattr(recipe, "stages", None):
        return [recipe]
    return split_stages(recipe, *_read(path, overrides, kind))


def load_runs(path: RecipePath, overrides: Sequence[str] = (), kind: Kinds = None) -> Iterator[Any]:
    """The remaining runs of a recipe, one after the other; each must be finished before the next.

    Those of kinds that train a model are instances of `Run`.
    """
    for recipe in unfinished_stages(load_recipes(path, overrides, kind)):
        yield build_run(recipe)


def build_run(recipe: Any) -> Any:
    """The run of a recipe, with its newest complete checkpoint, if any."""
    return RUNS[recipe.kind](recipe)


def _read(path: RecipePath, overrides: Sequence[str], kind: Kinds) -> tuple[dict[str, Any], list[Path]]:
    """The plain values of a recipe, and the folders to search for its relative paths."""
    kinds = (kind,) if isinstance(kind, str) else kind or ()
    file = None if path is None else find_recipe(path)
    tree = {} if file is None else read_tree(file)
    for override in overrides:
        apply_override(tree, override)
    # Checked first: every other message about a recipe of another kind would be misleading.
    own = tree.setdefault("kind", kinds[0] if kinds else DEFAULT_KIND)
    if own not in RUNS:
        close = difflib.get_close_matches(str(own), RUNS, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RecipeError(f"kind: expected one of {', '.join(RUNS)}; got {own!r}{hint}")
    if kinds and own not in kinds:
        expected = " or ".join(kinds)
        raise RecipeError(
            f"kind: {file} is a recipe of kind {own}, not {expected}; use `mu2slam train --recipe {file}`"
        )
    return tree, [Path.cwd()] if file is None else search_folders(file)


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
