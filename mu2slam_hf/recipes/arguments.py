# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training arguments of a recipe."""

import importlib.util
from dataclasses import fields
from typing import Any

import torch

from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.training.arguments import MultitaskTrainingArguments


def build_arguments(recipe: Any, max_steps: int | None = None) -> MultitaskTrainingArguments:
    """Training arguments of a recipe.

    Args:
        recipe: recipe of any kind.
        max_steps: total number of updates; None for `training.max_steps`.

    Raises:
        RecipeError: the number of updates is not given.
    """
    training = recipe.training
    if (max_steps or training.max_steps) is None:
        raise RecipeError("training.max_steps: is required")
    known = {item.name for item in fields(MultitaskTrainingArguments)}
    values = {name: value for name, value in (vars(training) | vars(recipe.optim)).items() if name in known}
    wants_best = values.pop("load_best_model_at_end")
    evaluate = training.eval_steps > 0 and bool(recipe.evaluation.corpora)
    return MultitaskTrainingArguments(
        **values
        | {
            "output_dir": recipe.output.dir,
            "max_steps": max_steps or training.max_steps,
            "use_cpu": training.use_cpu or not torch.cuda.is_available(),
            "eval_strategy": "steps" if evaluate else "no",
            "eval_steps": training.eval_steps if evaluate else None,
            # With a limit of 1 the Trainer would keep only the best checkpoint, not the last one, and a restart would
            # train again.
            "save_total_limit": max(training.save_total_limit, training.average_last, 2 if wants_best else 1),
            # The metric of a head includes the name of its corpus. `Run.train` loads the best weights.
            "metric_for_best_model": getattr(recipe, "best_figure", training.metric_for_best_model)
            if wants_best
            else None,
            "greater_is_better": training.greater_is_better if wants_best else None,
            "report_to": default_integrations() if training.report_to is None else training.report_to or "none",
            "logging_nan_inf_filter": False,
            "remove_unused_columns": False,
            # Objectives train without a cache. False would be saved in the configuration, and slow generation down.
            "use_cache": True,
        }
    )


def default_integrations() -> list[str]:
    """TensorBoard, if it is installed."""
    return [name for name in ("tensorboard",) if importlib.util.find_spec(name) is not None]
