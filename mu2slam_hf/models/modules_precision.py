# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""In which precision statistics and softmaxes are computed."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Integers and half precisions as float32; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
