# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The linear layer of all models."""

import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

_MIN_ROWS = 16
"""Below this number of rows, MKL is as fast."""


@cache
def prefers_onednn() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than MKL, which `nn.Linear` uses, on this machine.

    MKL does not use the widest instructions of processors of other makers: on an AMD EPYC with AVX-512 it reaches 105
    GFLOP/s per core, oneDNN 250. On Intel's, and where torch was built without MKL, there is nothing to gain.
    """
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    if not has_both or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    names = Path("/proc/cpuinfo")
    maker = names.read_text(encoding="utf-8") if names.exists() else platform.processor()
    return "AuthenticAMD" in maker


class Linear(nn.Linear):
    """`nn.Linear`, in inference in float32 by oneDNN where this is faster. Shape: (..., I) -> (..., O).

    Weights, names and gradients are those of `nn.Linear`; results differ by rounding errors.
    """

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        if (
            not torch.compiler.is_compiling()  # first, because nothing below can be compiled
            and not torch.is_grad_enabled()
            and input.dtype == weight.dtype == torch.float32
            # Quantised and distributed weights are of other classes.
            and type(weight) is nn.Parameter
            and input.device.type == weight.device.type == "cpu"
            and input.numel() >= _MIN_ROWS * self.in_features
            and prefers_onednn()
            and not torch.is_autocast_enabled("cpu")
            and not torch.jit.is_tracing()
        ):
            return torch.ops.mkldnn._linear_pointwise(input, weight, self.bias, "none", [], "")
        return super().forward(input)
