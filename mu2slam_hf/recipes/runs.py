# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A recipe as runs: its stages one after the other, what each resumes from, and what it leaves behind."""

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from transformers.utils import logging

from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.builders import AnyRecipe, build_model, build_processor, build_trainer
from mu2slam_hf.recipes.data_builders import load_records
from mu2slam_hf.recipes.head_runs import run_head
from mu2slam_hf.recipes.loader import (
    RecipeError,
    apply_override,
    build_section,
    load_any_recipe,
    load_head_recipe,
    load_recipe,
    read_tree,
    recipe_kind,
    search_folders,
    set_value,
)
from mu2slam_hf.recipes.mslam_builders import build_mslam_model, build_mslam_processor, build_mslam_trainer
from mu2slam_hf.recipes.mslam_schema import MSLAMRecipe
from mu2slam_hf.recipes.pretraining_builders import build_pretraining_processor, build_pretraining_trainer, load_tables
from mu2slam_hf.recipes.pretraining_schema import PretrainingRecipe
from mu2slam_hf.recipes.run_files import final_folder, find_resume_checkpoint, save_final, save_recipe
from mu2slam_hf.recipes.schema import Recipe
from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)


def load_stages(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> list[Recipe]:
    """The runs that a recipe describes: itself, or one for each of its stages with what the stage sets.

    Args:
        path: YAML file.
        overrides: `a.b=c` each, of the whole recipe; what a stage sets wins (`stages.0.set.training.max_steps=9`).

    Raises:
        RecipeError: as `load_recipe`, for every stage before the first one starts.
    """
    recipe = load_recipe(path, overrides)
    if not recipe.stages:
        return [recipe]
    tree = read_tree(Path(path))
    for override in overrides:
        apply_override(tree, override)
    del tree["stages"]
    runs = []
    for number, stage in enumerate(recipe.stages):
        own = copy.deepcopy(tree)
        for name, value in stage.set.items():
            set_value(own, name, copy.deepcopy(value))
        output = own.setdefault("output", {})
        output["dir"] = os.path.join(recipe.output.dir, f"{number + 1}_{stage.name}")
        if number == len(recipe.stages) - 1:
            output["final"] = recipe.output.final or os.path.join(recipe.output.dir, "final")
        try:
            runs.append(build_section(Recipe, own, "", search_folders(Path(path))))
        except RecipeError as error:
            raise RecipeError(f"stages.{number}.set: {error}") from error
    return runs


def unfinished_stages(runs: Sequence[Recipe]) -> Iterator[Recipe]:
    """The runs of `load_stages` that are still to be done, each set up to start from the result of the one before.

    A stage is finished when its final folder is there. A recipe without stages is always gone through: its trainer
    knows whether there is anything left to do.
    """
    before: Path | None = None
    for run in runs:
        final = final_folder(run)
        if before is not None:
            start = replace(run.model, config=None, init_from=str(before.resolve()), init_encoder_from=None)
            run = replace(run, model=start, processor=replace(run.processor, init_from=None))
        if len(runs) > 1 and run.training.resume and final.is_dir():
            logger.warning(f"{run.output.dir} is finished: nothing to do. Delete {final} to do it again.")
        else:
            yield run
        before = final


def run_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> None:
    """All runs of a recipe of any kind, as the training scripts do them."""
    kind = recipe_kind(path)
    if kind == "head_finetuning":
        run_head(load_head_recipe(path, overrides))
    elif kind != "finetuning":
        run_stage(load_any_recipe(path, overrides))
    else:
        for recipe in unfinished_stages(load_stages(path, overrides)):
            run_stage(recipe)


def run_stage(recipe: AnyRecipe) -> None:
    """One run from data to saved model."""
    checkpoint = find_resume_checkpoint(recipe)
    trainer: MultitaskTrainer
    if isinstance(recipe, PretrainingRecipe):
        records = load_tables(recipe)
        processor = build_pretraining_processor(recipe, records, checkpoint)
        trainer = build_pretraining_trainer(recipe, processor, build_model(recipe, processor), records)
    elif isinstance(recipe, MSLAMRecipe):
        records = load_tables(recipe)
        processor = build_mslam_processor(recipe, records, checkpoint)
        trainer = build_mslam_trainer(recipe, processor, build_mslam_model(recipe, processor), records)
    else:
        assert isinstance(recipe, Recipe), "all kinds are known"
        records = load_records(recipe.data.corpora, "data.corpora")
        processor = build_processor(recipe, records, checkpoint)
        trainer = build_trainer(recipe, processor, build_model(recipe, processor), records)
    if trainer.is_world_process_zero():
        save_recipe(recipe, recipe.output.dir)
    trainer.train(resume_from_checkpoint=checkpoint)
    finish_run(recipe, trainer, processor)


def finish_run(recipe: AnyRecipe, trainer: MultitaskTrainer, processor: Mu2SLAMProcessor) -> dict[str, float]:
    """Choose the weights that the recipe wants, evaluate them, and save model, processor and results.

    The folder of the final model gets its name when it is complete, like a checkpoint.

    Returns:
        The figures of the last evaluation, also in `results.json` of that folder.
    """
    training = recipe.training
    chosen = False
    if training.average_last > 1:
        trainer.load_averaged_weights(list_checkpoints(recipe.output.dir)[-training.average_last :])
        chosen = True
    elif training.keep == "best":
        trainer.load_best_checkpoint()
        chosen = trainer.state.best_global_step != trainer.state.global_step
    results = {}
    if recipe.evaluation.corpora:
        results = (None if chosen else trainer.evaluated_at_end()) or trainer.evaluate()
    model = trainer.whole_model()
    if model is not None:
        save_final(recipe, model, processor, results)
    trainer.accelerator.wait_for_everyone()
    return results


__all__ = [
    "final_folder",
    "find_resume_checkpoint",
    "finish_run",
    "load_stages",
    "run_recipe",
    "run_stage",
    "save_recipe",
    "unfinished_stages",
]
