# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Norms of the gradient by part of the model, for logs."""

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_WRAPPERS = ("module", "base_model", "model")


def module_group(parameter_name: str) -> str:
    """The part of a model that a parameter belongs to: `encoder.conformer`, `decoder.layers`, `ctc_head`, ...

    That is the first two names of modules, without those of wrappers.

    Args:
        parameter_name: name from `named_parameters`.
    """
    modules = parameter_name.split(".")[:-1]
    while len(modules) > 1 and modules[0] in _WRAPPERS:
        modules = modules[1:]
    return ".".join(name for name in modules[:2] if not name.isdigit()) or parameter_name


def compute_gradient_norms(model: nn.Module) -> dict[str, Tensor]:
    """Group of parameters -> L2 norm of its gradient, 0-d, on its device; collective for a sharded model.

    Args:
        model: model after the backward pass; parameters without a gradient are left out.
    """
    gradients: defaultdict[str, list[Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradients[module_group(name)].append(parameter.grad)
    return {group: _norm(grads) for group, grads in gradients.items()}


def _norm(gradients: list[Tensor]) -> Tensor:
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
