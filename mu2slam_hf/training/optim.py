# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Parameter groups and learning-rate schedules, each a closed form of the update number."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mu2slam_hf.models.modules_residual_adapters import ResidualAdapters

DECAYS: dict[str, Callable[[float, int, int], float]] = {
    "warmup_cosine": lambda progress, step, warmup: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "warmup_inverse_sqrt": lambda progress, step, warmup: math.sqrt(max(1, warmup) / max(1, step, warmup)),
    "warmup_linear": lambda progress, step, warmup: 1.0 - progress,
    "warmup_constant": lambda progress, step, warmup: 1.0,
}
"""Multipliers after the warm-up, functions of the progress to the end of the run in [0, 1], update and warm-up."""
FALLS_TO_MINIMUM = ("warmup_cosine", "warmup_linear")
"""Schedules that end at a given share of the peak; the Transformer's, in both forms, and a constant rate do not."""
SCHEDULES = ("noam", *DECAYS)


def compute_noam_rate(step: int, *, hidden_size: int, num_warmup_steps: int, factor: float = 1.0) -> float:
    """Learning rate of the Noam schedule, `factor * d^-0.5 * min(step^-0.5, step * warmup^-1.5)`.

    Args:
        step: number of the current update, counted from 1.
        hidden_size: width `d` of the model.
        num_warmup_steps: number of updates of linear growth; at least 1.
        factor: the paper's multiplier (3 in pre-training, 0.5 to 5 in fine-tuning).

    Returns:
        The learning rate itself, not a multiplier.

    Paper: section 3.1 and appendix A; the peak is `factor / sqrt(d * warmup)`, 4.69e-4 at 3, 1024 and 40,000.
    """
    if step < 1 or num_warmup_steps < 1:
        raise ValueError(f"step and num_warmup_steps count from 1; got step={step}, warm-up={num_warmup_steps}.")
    return factor * hidden_size**-0.5 * min(step**-0.5, step * num_warmup_steps**-1.5)


def compute_schedule_multiplier(
    step: int, *, schedule: str, num_warmup_steps: int, num_training_steps: int, min_ratio: float = 0.0
) -> float:
    """Learning rate of update `step` as a fraction of the peak.

    Args:
        step: number of the current update, counted from 1.
        schedule: one of `SCHEDULES` except "noam".
        num_warmup_steps: number of updates of linear growth, 0 for none; the last one runs at the peak.
        num_training_steps: total number of updates; cosine and linear reach `min_ratio` on the last one.
        min_ratio: value that "warmup_cosine" and "warmup_linear" fall to; the other schedules ignore it.

    Returns:
        A number in [0, 1].

    Paper: the Transformer's schedule falls with the inverse square root of the update, without a lower bound.
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    progress = (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
    decayed = DECAYS[schedule](min(1.0, max(0.0, progress)), step, num_warmup_steps)
    return min_ratio + (1.0 - min_ratio) * decayed if schedule in FALLS_TO_MINIMUM else decayed


def build_scheduler(
    optimizer: Optimizer,
    *,
    schedule: str,
    num_warmup_steps: int,
    num_training_steps: int,
    min_ratio: float = 0.0,
    noam_factor: float = 1.0,
    hidden_size: int | None = None,
) -> LambdaLR:
    """Scheduler of `optimizer`, a multiplier of the rate of each group.

    "noam" ignores the optimizer's rates: it sets the absolute one of all groups and requires `hidden_size`.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Unknown schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    if schedule != "noam":
        settings = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
        return LambdaLR(
            optimizer,
            lambda done: compute_schedule_multiplier(done + 1, schedule=schedule, min_ratio=min_ratio, **settings),
        )
    if hidden_size is None:
        raise ValueError("The Noam schedule requires the model's hidden_size.")
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0
    width, warmup = hidden_size, max(1, num_warmup_steps)
    return LambdaLR(
        optimizer,
        lambda done: compute_noam_rate(done + 1, hidden_size=width, num_warmup_steps=warmup, factor=noam_factor),
    )


def build_parameter_groups(
    model: nn.Module,
    weight_decay: float,
    learning_rate: float | None = None,
    language_model_factor: float = 1.0,
    head_learning_rate_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """Two AdamW groups: matrices with weight decay, and all other parameters without.

    With another `language_model_factor` than 1, the parameters of a part `language_model` have groups of their own,
    whose learning rate is multiplied by it; likewise those outside the base model for `head_learning_rate_ratio`.

    Choice: not decayed are biases, norms, every parameter with fewer than two dimensions, embedding tables and the
    residual adapters of languages (decay would shrink rows that a small corpus never uses). The paper gives the rate,
    0.01 in fine-tuning, and names no exemption; pre-training has no decay. Frozen parameters are left out; a tied one
    occurs once.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (nn.Embedding, ResidualAdapters))
        for parameter in module.parameters(recurse=False)
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    kept = [parameter for parameter in trained if parameter.ndim < 2 or id(parameter) in embeddings]
    kept_ids = set(map(id, kept))
    decayed = [parameter for parameter in trained if id(parameter) not in kept_ids]
    factors: dict[int, float] = {}
    if head_learning_rate_ratio != 1.0:
        base_ids = set(map(id, getattr(model, "base_model", model).parameters()))
        factors = {id(p): head_learning_rate_ratio for p in trained if id(p) not in base_ids}
    if language_model_factor != 1.0:
        inside = (p for name, p in model.named_parameters() if "language_model" in name.split("."))
        factors |= {id(p): language_model_factor for p in inside}
    groups: list[dict[str, Any]] = []
    for parameters, decay in ((decayed, weight_decay), (kept, 0.0)):
        for factor in dict.fromkeys((1.0, language_model_factor, head_learning_rate_ratio)):
            own = [p for p in parameters if factors.get(id(p), 1.0) == factor]
            rate = {} if factor == 1.0 or learning_rate is None else {"lr": learning_rate * factor}
            groups.append({"params": own, "weight_decay": decay, **rate})
    return [group for group in groups if group["params"]]


def build_optimizer(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    optimizer: str = "adamw",
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-9,
    language_model_factor: float = 1.0,
    head_learning_rate_ratio: float = 1.0,
) -> torch.optim.Optimizer:
    """AdamW over `build_parameter_groups`, or Adam; the fused kernel if every parameter is a plain fp32 tensor.

    Paper: section 3.1, Adam in pre-training and AdamW with decay 0.01 in fine-tuning.
    Choice: fused also on CPU, where it avoids a Python loop over some hundred small tensors per update.

    Raises:
        ValueError: unknown optimizer, weight decay with Adam (it would be L2 regularisation), or nothing to train.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"Unknown optimizer {optimizer!r}; known: {', '.join(OPTIMIZERS)}.")
    if optimizer == "adam" and weight_decay != 0.0:
        raise ValueError(f"Adam does not support weight decay; set it to 0 (got {weight_decay}) or use adamw.")
    groups = build_parameter_groups(
        model, weight_decay, learning_rate, language_model_factor, head_learning_rate_ratio
    )
    if not groups:
        raise ValueError("The model has no trainable parameters: all are frozen.")
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = all(type(p.data) is torch.Tensor and p.device.type in ("cpu", "cuda") for p in parameters)
    return OPTIMIZERS[optimizer](groups, lr=learning_rate, betas=betas, eps=eps, fused=fused)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
