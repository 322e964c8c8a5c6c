# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which parameters a loss depends on, read from its autograd graph."""

from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def find_untouched_parameters(loss: Tensor, model: nn.Module) -> list[nn.Parameter]:
    """Trainable parameters of `model` that get no gradient from `loss`.

    The walk visits every node once (some thousand for a small model, milliseconds), so callers keep the result for
    each kind of batch.

    Of a sharded model only the parameters of its root are checked: its layers have already freed their whole
    parameters, and all layers take part in every batch.

    Args:
        loss: 0-d tensor with a graph.
        model: module whose parameters are checked.
    """
    touched: set[int] = set()
    seen: set[Any] = set()
    stack = [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None:
            touched.add(id(variable))
        stack.extend(child for child, _ in node.next_functions)
    candidates = [p for p in model.parameters() if p.requires_grad and not isinstance(p, DTensor)]
    return [p for p in candidates if id(p) not in touched]
