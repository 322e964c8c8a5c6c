# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The kinds of recipes, and the runs of a recipe file."""

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.recipes.finetuning import FinetuningRun
from mu2slam_hf.recipes.head_finetuning import HeadFinetuningRun
from mu2slam_hf.recipes.loader import (
    DEFAULT_KIND,
    RecipeError,
    apply_override,
    build_section,
    read_tree,
)
from mu2slam_hf.recipes.mslam_pretraining import MSLAMPretrainingRun
from mu2slam_hf.recipes.multitask_finetuning import MultitaskFinetuningRun
from mu2slam_hf.recipes.pretraining import PretrainingRun
from mu2slam_hf.recipes.run import Run
from mu2slam_hf.recipes.shipped import find_recipe, search_folders
from mu2slam_hf.recipes.stages import split_stages, unfinished_stages

RUNS: dict[str, type[Run]] = {
    run.recipe_class.kind: run
    for run in (FinetuningRun, MultitaskFinetuningRun, PretrainingRun, MSLAMPretrainingRun, HeadFinetuningRun)
}
"""`kind` of a recipe -> class of its run."""


Kinds = str | tuple[str, ...] | None
"""Expected kind of a recipe, or several; None for any of `RUNS`. The first one is that of a file that names none."""


def load_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = (), kind: Kinds = None) -> Any:
    """Read a recipe and apply overrides.

    Args:
        path: YAML file, or the name of a recipe of the package (see `find_recipe`).
        overrides: `a.b=c` each, applied in order; the value is read as YAML, list items by their number.
        kind: expected kind of the recipe, see `Kinds`.

    Returns:
        An instance of the `recipe_class` of its run.

    Raises:
        RecipeError: unknown key (with the most similar known one), wrong type, missing file, invalid YAML, other kind.
    """
    path = find_recipe(path)
    tree = _read(path, overrides, kind)
    return build_section(RUNS[tree["kind"]].recipe_class, tree, "", search_folders(path))


def load_recipes(path: str | os.PathLike[str], overrides: Sequence[str] = (), kind: Kinds = None) -> list[Any]:
    """As `load_recipe`: the recipe itself, or one for each of its stages with the values of the stage.

    Values of a stage take precedence over the overrides (`stages.0.set.training.max_steps=9` changes them).

    Raises:
        RecipeError: as `load_recipe`, for every stage before the first one starts.
    """
    path = find_recipe(path)
    recipe = load_recipe(path, overrides, kind)
    if not getattr(recipe, "stages", None):
        return [recipe]
    return split_stages(recipe, _read(path, overrides, kind), search_folders(path))


def load_runs(path: str | os.PathLike[str], overrides: Sequence[str] = (), kind: Kinds = None) -> Iterator[Run]:
    """The remaining runs of a recipe, one after the other; each must be finished before the next."""
    for recipe in unfinished_stages(load_recipes(path, overrides, kind)):
        yield build_run(recipe)


def build_run(recipe: Any) -> Run:
    """The run of a recipe, with its newest complete checkpoint, if any."""
    return RUNS[recipe.kind](recipe)


def _read(path: Path, overrides: Sequence[str], kind: Kinds) -> dict[str, Any]:
    kinds = (kind,) if isinstance(kind, str) else kind or ()
    tree = read_tree(path)
    for override in overrides:
        apply_override(tree, override)
    # Checked first: every other message about a recipe of another kind would be misleading.
    found = tree.setdefault("kind", kinds[0] if kinds else DEFAULT_KIND)
    if found == "speech_tokenizer":
        raise RecipeError(f"kind: {path} describes a speech tokenizer; use `mu2slam train-speech-tokenizer`")
    if found not in RUNS:
        close = difflib.get_close_matches(str(found), RUNS, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise RecipeError(f"kind: expected one of {', '.join(RUNS)}; got {found!r}{hint}")
    if kinds and found not in kinds:
        expected = " or ".join(kinds)
        raise RecipeError(
            f"kind: {path} is a recipe of kind {found}, not {expected}; use `mu2slam train --recipe {path}`"
        )
    return tree
