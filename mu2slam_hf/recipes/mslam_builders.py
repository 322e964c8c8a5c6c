# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipe of mSLAM to processor, model and trainer; the mixture of tasks is that of `pretraining_builders`."""

from dataclasses import replace
from functools import partial
from typing import Any

from mu2slam_hf.data.collation.mslam import MSLAMCollator
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.task_types import MSLAM_TASKS
from mu2slam_hf.quantization.quantizer_callbacks import CodebookWatch, GumbelAnnealing, QuantizerFreezing
from mu2slam_hf.recipes.builders import build_model_of
from mu2slam_hf.recipes.data_builders import Records
from mu2slam_hf.recipes.loader import errors_of
from mu2slam_hf.recipes.mslam_schema import MSLAMRecipe
from mu2slam_hf.recipes.pretraining_builders import build_mixture_processor, build_mixture_trainer
from mu2slam_hf.training.mslam_trainer import MSLAMTrainer


def build_mslam_processor(recipe: MSLAMRecipe, records: Records, checkpoint: str | None = None) -> Mu2SLAMProcessor:
    """The processor, without a speech codec; see `build_mixture_processor`."""
    return build_mixture_processor(recipe, records, checkpoint)


def build_mslam_model(recipe: MSLAMRecipe, processor: Mu2SLAMProcessor) -> Any:
    """`MSLAMForPreTraining` in float32: new, with the weights of `init_from`, or around a trained encoder.

    Raises:
        RecipeError: see `build_model_of`.
    """
    return build_model_of(recipe, processor, MSLAMForPreTraining)


def build_mslam_trainer(
    recipe: MSLAMRecipe, processor: Mu2SLAMProcessor, model: Any, records: Records
) -> MSLAMTrainer:
    """The trainer with its mixture of tasks, development sets and console.

    Args:
        recipe: the run.
        processor: is saved with the model.
        model: `MSLAMForPreTraining`.
        records: of `load_tables`.
    """
    section = recipe.quantizer
    with errors_of("quantizer"):
        annealing = GumbelAnnealing(section.start_temperature, section.min_temperature, section.temperature_factor)
        freezing = None if section.freeze_after is None else QuantizerFreezing(section.freeze_after)
    watch = CodebookWatch(min_usage=section.min_usage, min_perplexity_ratio=section.min_perplexity_ratio)
    tasks = [task for task in recipe.evaluation.tasks if task in MSLAM_TASKS]
    recipe = replace(recipe, evaluation=replace(recipe.evaluation, tasks=tasks))
    build_trainer = partial(MSLAMTrainer, model, annealing=annealing, watch=watch, freezing=freezing)
    return build_mixture_trainer(
        recipe, processor, records, build_trainer, partial(build_mslam_collator, recipe, processor, model.config)
    )


def build_mslam_collator(recipe: MSLAMRecipe, processor: Mu2SLAMProcessor, config: Any) -> MSLAMCollator:
    """The collator with the recipe's masks, for the front end and the number of negatives of an `MSLAMConfig`."""
    return MSLAMCollator(
        processor,
        seed=recipe.training.seed,
        masking=recipe.masking,
        num_negatives=config.num_negatives,
        encoder_config=config.encoder_config,
    )
