# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training arguments of a recipe, and the console of a run."""

import importlib.util
from dataclasses import fields
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.callbacks import ConsoleLines, ConsoleTable
from mu2slam_hf.training.objectives import MSLAM_LOSS_TABLE, PRETRAINING_LOSS_TABLE, LossTable

LOSS_NAMES = LossTable.of_tasks(TASK_NAMES).names


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
        average_last=training.average_last,
        metric_for_best_model=training.best_metric if training.keep == "best" else None,
        greater_is_better=training.greater_is_better if training.keep == "best" else None,
        report_to=["tensorboard"] if tensorboard else "none",
        disable_tqdm=not training.progress_bar,
        remove_unused_columns=False,
        loss_weights=asdict_objective(recipe.objective),
        label_smoothing=getattr(recipe.objective, "label_smoothing", 0.0),
        optimizer=optim.optimizer,
        schedule=optim.schedule,
        learning_rate=optim.learning_rate,
        noam_factor=optim.noam_factor,
        num_warmup_steps=optim.warmup_steps,
        min_learning_rate_ratio=optim.min_learning_rate_ratio,
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        adam_epsilon=optim.epsilon,
        max_grad_norm=optim.max_grad_norm,
    )


def asdict_objective(objective: Any) -> dict[str, float]:
    """Coefficients of the named losses, without the other values of the section."""
    names = {*LOSS_NAMES, *PRETRAINING_LOSS_TABLE.names, *MSLAM_LOSS_TABLE.names}
    return {item.name: getattr(objective, item.name) for item in fields(objective) if item.name in names}


def use_own_console(trainer: Trainer) -> None:
    """Our lines and tables on the console instead of the Trainer's dictionaries."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ConsoleLines() if trainer.args.disable_tqdm else ConsoleTable())
