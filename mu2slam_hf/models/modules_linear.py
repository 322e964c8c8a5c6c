# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Linear layers in the forward passes of all models.

Layers are `nn.Linear` itself: quantisers of transformers and PyTorch look for exactly this type, and would leave
layers of a subclass as they are. Forward passes call `linear(layer, states)` in place of `layer(states)`.
"""

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


def linear(module: nn.Module, input: Tensor) -> Tensor:
    """`module(input)`, in inference on a CPU by the fastest products of this machine. Shape: (..., I) -> (..., O).

    Layers that were replaced (by a quantiser, or by adapters), layers with hooks, training and compilation are left to
    the module. Results differ from it by rounding errors.
    """
    if (
        not torch.compiler.is_compiling()  # First, because nothing below can be compiled.
        and not torch.is_grad_enabled()
        and input.device.type == "cpu"
        and type(module) is nn.Linear
        and runs_only_forward(module)
        and not torch.nn.modules.module._has_any_global_hook()
    ):
        return multiply(input, module.weight, module.bias)
    return module(input)


def linear_without_bias(module: nn.Module, input: Tensor) -> Tensor:
    """The part of a linear layer, or of what replaced it, that depends on the input."""
    if type(module) is nn.Linear:
        return nn.functional.linear(input, module.weight)
    return module(input) - module(torch.zeros_like(input))


def multiply(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`nn.functional.linear` for inference on a CPU, by the fastest products of this machine.

    In float32 these are oneDNN's where they are faster. Weights that torchao rounded to 8 bits, with states rounded
    row by row, are multiplied in 8 bits.
    """
    if type(weight) is not nn.Parameter:  # quantised or distributed
        if _can_multiply_int8(input, weight):
            return int8_linear(input, weight, bias)
    elif _prefers_onednn(input, weight):
        return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return nn.functional.linear(input, weight, bias)


def runs_only_forward(module: nn.Module) -> bool:
    """Whether calling the module runs the `forward` of its class and nothing else."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _can_multiply_int8(input: Tensor, weight: Tensor) -> bool:
    return (
        quantizes_rows(weight)
        and multiplies_int8()
        and input.dtype in (torch.float32, torch.bfloat16)
        and weight.qdata.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()
    )


def _prefers_onednn(input: Tensor, weight: Tensor) -> bool:
    return (
        input.dtype == weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and input.numel() >= _MIN_ROWS * weight.shape[1]
        and prefers_onednn()
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()
    )
