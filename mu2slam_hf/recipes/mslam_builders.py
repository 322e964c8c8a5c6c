# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipe of mSLAM to processor, model and trainer; the mixture of tasks is that of `pretraining_builders`."""

from dataclasses import replace
from functools import partial
from typing import Any

from transformers import AutoFeatureExtractor

from mu2slam_hf.checkpoints.speech_encoders import load_speech_encoder
from mu2slam_hf.data.mslam_collator import MSLAMCollator
from mu2slam_hf.models.modeling_mslam_pretraining import MSLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.task_types import MSLAM_TASKS
from mu2slam_hf.recipes.builders import build_model_of
from mu2slam_hf.recipes.data_builders import Records
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.mslam_schema import MSLAMRecipe
from mu2slam_hf.recipes.pretraining_builders import build_mixture_processor, build_mixture_trainer
from mu2slam_hf.training.mslam_trainer import MSLAMTrainer
from mu2slam_hf.training.quantizer_callbacks import CodebookWatch, GumbelAnnealing


def build_mslam_processor(recipe: MSLAMRecipe, records: Records, checkpoint: str | None = None) -> Mu2SLAMProcessor:
    """The processor: of the checkpoint that is resumed, of `init_from`, or new; see `build_mixture_processor`.

    Choice: an imported encoder keeps the feature extractor that it was trained with.
    """
    folder = recipe.model.init_encoder_from

    def complete(processor: Mu2SLAMProcessor, is_new: bool) -> Mu2SLAMProcessor:
        if is_new and folder is not None:
            extractor = AutoFeatureExtractor.from_pretrained(folder)
            return Mu2SLAMProcessor(extractor, processor.tokenizer, languages=processor.languages)
        return processor

    return build_mixture_processor(recipe, records, checkpoint, complete)


def build_mslam_model(recipe: MSLAMRecipe, processor: Mu2SLAMProcessor) -> Any:
    """`MSLAMForPreTraining` in float32: new, with the weights of `init_from`, or around an imported encoder.

    Choice: an imported encoder keeps its layers as they are, without a linear map between speech and shared layers,
    and its masked frames are the learned embedding of [MASK], not noise that it never saw.

    Raises:
        RecipeError: neither or both of `model.config` and `model.init_from`, a vocabulary that does not fit, or an
            encoder that cannot be taken over.
    """
    folder = recipe.model.init_encoder_from
    if folder is None:
        return build_model_of(recipe, processor, MSLAMForPreTraining)
    if recipe.model.init_from is not None:
        raise RecipeError("model.init_encoder_from: goes with config, not with init_from, which brings an encoder")
    try:
        weights = load_speech_encoder(folder)
    except ValueError as error:
        raise RecipeError(f"model.init_encoder_from: {error}") from error
    own = {"add_speech_projection": False, "speech_mask": "learned", "encoder_config": weights.config.to_dict()}
    model: Any = build_model_of(recipe, processor, MSLAMForPreTraining, **own)
    fit_encoder(model.model, weights.state_dict, folder)
    return model


def fit_encoder(model: Any, state_dict: dict[str, Any], source: str) -> None:
    """Put the weights of an imported encoder into an `MSLAMModel`; what stands above text stays new.

    Args:
        model: with the configuration of the encoder.
        state_dict: by our names, `subsampling.*` and `conformer.*`.
        source: for messages.

    Raises:
        RecipeError: a weight without a place, or a place without a weight.
    """
    missing, surplus = model.load_state_dict(state_dict, strict=False)
    lacking = [name for name in missing if name.split(".")[0] in ("subsampling", "conformer")]
    if lacking or surplus:
        raise RecipeError(
            f"model.init_encoder_from: {source} does not fit: {len(lacking)} weights are not there"
            f"{''.join(f' ({name})' for name in lacking[:1])}, {len(surplus)} have no place"
            f"{''.join(f' ({name})' for name in surplus[:1])}"
        )


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
    try:
        annealing = GumbelAnnealing(section.start_temperature, section.min_temperature, section.temperature_factor)
    except ValueError as error:
        raise RecipeError(f"quantizer: {error}") from error
    watch = CodebookWatch(min_usage=section.min_usage, min_perplexity_ratio=section.min_perplexity_ratio)
    tasks = [task for task in recipe.evaluation.tasks if task in MSLAM_TASKS]
    recipe = replace(recipe, evaluation=replace(recipe.evaluation, tasks=tasks))
    build_trainer = partial(MSLAMTrainer, model, annealing=annealing, watch=watch)
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
