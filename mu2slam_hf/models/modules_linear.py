# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The linear layer of all models."""

import platform
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from .modules_int8 import int8_linear, multiplies_int8, quantizes_rows

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
    """`nn.Linear`, in inference on a CPU by the fastest products of this machine. Shape: (..., I) -> (..., O).

    In float32 these are oneDNN's where they are faster. Weights that torchao rounded to 8 bits, with states rounded
    row by row, are multiplied in 8 bits. Weights, names and gradients are those of `nn.Linear`; results differ by
    rounding errors.
    """

    def forward(self, input: Tensor) -> Tensor:
        # First, because nothing below can be compiled.
        if not torch.compiler.is_compiling() and not torch.is_grad_enabled() and input.device.type == "cpu":
            if type(self.weight) is not nn.Parameter:  # quantised or distributed
                if self._can_multiply_int8(input):
                    return int8_linear(input, self.weight, self.bias)
            elif self._prefers_onednn(input):
                return torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return super().forward(input)

    def _can_multiply_int8(self, input: Tensor) -> bool:
        return (
            quantizes_rows(self.weight)
            and multiplies_int8()
            and input.dtype in (torch.float32, torch.bfloat16)
            and self.weight.qdata.device.type == "cpu"
            and not torch.is_autocast_enabled("cpu")
            and not torch.jit.is_tracing()
        )

    def _prefers_onednn(self, input: Tensor) -> bool:
        weight = self.weight
        return (
            input.dtype == weight.dtype == torch.float32
            and weight.device.type == "cpu"
            and input.numel() >= _MIN_ROWS * self.in_features
            and prefers_onednn()
            and not torch.is_autocast_enabled("cpu")
            and not torch.jit.is_tracing()
        )
