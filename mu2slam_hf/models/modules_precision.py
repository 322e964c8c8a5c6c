# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Precision of statistics and softmaxes."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Convert integers and half precision to float32; float32 and float64 are unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
