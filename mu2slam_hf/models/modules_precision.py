# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Precision of statistics, softmaxes and inputs."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Convert integers and half precision to float32; float32 and float64 are unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def in_dtype_of(values: Tensor | None, weight: Tensor) -> Tensor | None:
    """Convert a float input of a model to the dtype of its weights; under autocast, which does so, it is unchanged."""
    if values is None or values.dtype == weight.dtype or torch.is_autocast_enabled(values.device.type):
        return values
    return values.to(weight.dtype)
