# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training arguments of a recipe."""

import importlib.util
from typing import Any

import torch

from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.training.arguments import MultitaskTrainingArguments


def build_arguments(recipe: Any, max_steps: int | None = None) -> MultitaskTrainingArguments:
    """Training arguments of a recipe.

    Args:
        recipe: of any kind.
        max_steps: updates in all; None for `training.max_steps`.

    Raises:
        RecipeError: nothing says how many updates there are.
    """
    training, optim = recipe.training, recipe.optim
    max_steps = max_steps or training.max_steps
    if max_steps is None:
        raise RecipeError("training.max_steps: is required")
    # Of a head it is named with its corpus.
    best = getattr(recipe, "best_figure", training.best_metric) if training.keep == "best" else None
    evaluate = training.eval_steps > 0 and bool(recipe.evaluation.corpora)
    tensorboard = training.tensorboard and importlib.util.find_spec("tensorboard") is not None
    return MultitaskTrainingArguments(
        output_dir=recipe.output.dir,
        max_steps=max_steps,
        seed=training.seed,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        dataloader_num_workers=training.dataloader_num_workers,
        bf16=training.bf16,
        use_cpu=training.use_cpu or not torch.cuda.is_available(),
        activation_checkpointing=training.activation_checkpointing,
        shard_parameters=training.shard_parameters,
        num_sharding_replicas=training.num_sharding_replicas,
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=training.eval_steps if evaluate else None,
        save_steps=training.save_steps,
        # At a limit of 1 the Trainer would delete the last checkpoint for the best one, and a restart train again.
        save_total_limit=max(training.save_total_limit, training.average_last, 2 if training.keep == "best" else 1),
        metric_for_best_model=best,
        greater_is_better=training.greater_is_better if best else None,
        report_to=["tensorboard"] if tensorboard else "none",
        disable_tqdm=not training.progress_bar,
        remove_unused_columns=False,
        optimizer=optim.optimizer,
        schedule=optim.schedule,
        learning_rate=optim.learning_rate,
        noam_factor=optim.noam_factor,
        warmup_steps=optim.warmup_steps,
        min_learning_rate_ratio=optim.min_learning_rate_ratio,
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        adam_epsilon=optim.epsilon,
        max_grad_norm=optim.max_grad_norm,
    )
