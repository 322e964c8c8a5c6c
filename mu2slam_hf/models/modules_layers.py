# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Elementary layers of all models: linear products, normalisation, dropout, and the precision of sums."""

import platform
from functools import cache
from pathlib import Path
from typing import Any

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
        and _runs_only_forward(module)
        and not torch.nn.modules.module._has_any_global_hook()
    ):
        return _multiply(input, module.weight, module.bias)
    return module(input)


def linear_without_bias(module: nn.Module, input: Tensor) -> Tensor:
    """The part of a linear layer, or of what replaced it, that depends on the input."""
    if type(module) is nn.Linear:
        return nn.functional.linear(input, module.weight)
    return module(input) - module(torch.zeros_like(input))


def _multiply(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
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


def _runs_only_forward(module: nn.Module) -> bool:
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


class ChannelNorm(nn.Module):
    """Base class of normalisations with a weight and a bias for each channel.

    Args:
        num_channels: width D.
        eps: added to the variance.
    """

    def __init__(self, num_channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))


class SequenceBatchNorm(ChannelNorm):
    """Batch normalisation over the real frames of a batch, for weights that were trained with it.

    In training the statistics are those of all real frames of the batch of this process, and update the running
    statistics with `momentum`; in evaluation the running statistics are used, so that padding, packing and other rows
    have no effect. nn.BatchNorm1d would include padding. As there, the running variance is unbiased, and activation
    checkpointing, which runs a layer twice, updates it twice.
    Choice: a frozen layer, whose weight requires no gradient, uses the running statistics in training too and does not
    update them: a frozen encoder gives the same states during and after the training of a head.

    Args:
        num_channels: width D.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, eps: float, momentum: float = 0.1):
        super().__init__(num_channels, eps)
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, hidden_states: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            hidden_states: `(B, L, D)`.
            frame_mask: `(B, L)` bool, True on real positions; None when nothing is padded.
        """
        states = at_least_float32(hidden_states)
        if self.training and self.weight.requires_grad:
            mean, variance = self._batch_statistics(states, frame_mask)
        else:
            mean, variance = at_least_float32(self.running_mean), at_least_float32(self.running_var)
        scale = at_least_float32(self.weight) * torch.rsqrt(variance + self.eps)
        return ((states - mean) * scale + at_least_float32(self.bias)).to(hidden_states.dtype)

    def _batch_statistics(self, states: Tensor, frame_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        if frame_mask is None:
            frame_mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        real = frame_mask[..., None]
        count = real.sum().clamp(min=1)
        mean = states.masked_fill(~real, 0.0).sum((0, 1)) / count
        squares = (states - mean).masked_fill(~real, 0.0).square().sum((0, 1))
        with torch.no_grad():
            unbiased = squares / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return mean, squares / count


_LEVELS = 2**16


def apply_dropout(hidden_states: Tensor, p: float, training: bool) -> Tensor:
    """As `torch.nn.functional.dropout`; on a CPU in about a third of its time.

    Choice: on a CPU, torch draws a random number for each element, which takes a tenth of the training step of a small
    model. Here a number of 64 bits decides about four elements, so that p is rounded to a multiple of 2^-16; the
    expected value is kept exactly.

    Args:
        hidden_states: floating-point values of any shape.
        p: probability of an element to become zero.
        training: whether to drop anything.
    """
    dropped = round(p * _LEVELS)
    if not training or p == 0.0:
        return hidden_states
    if hidden_states.device.type != "cpu" or not 0 < dropped < _LEVELS or torch.compiler.is_compiling():
        return nn.functional.dropout(hidden_states, p=p, training=True)
    count = hidden_states.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    levels = bits.view(torch.int16)[:count].view(hidden_states.shape)
    kept = (levels >= dropped - _LEVELS // 2).to(hidden_states.dtype)
    return hidden_states * kept.mul_(_LEVELS / (_LEVELS - dropped))


def at_least_float32(values: Tensor) -> Tensor:
    """Convert integers and half precision to float32; float32 and float64 are unchanged."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def in_dtype_of(values: Tensor | None, weight: Tensor) -> Tensor | None:
    """Convert a float input of a model to the dtype of its weights; under autocast, which does so, it is unchanged."""
    if values is None or values.dtype == weight.dtype or torch.is_autocast_enabled(values.device.type):
        return values
    return values.to(weight.dtype)


_LARGEST, _SMALLEST = 127, -128
_STEPS = 255
_MIN_SCALE = torch.finfo(torch.float32).eps


@cache
def multiplies_int8() -> bool:
    """Whether this processor has instructions for products of 8-bit integers, and torch was built to use them.

    Without these instructions intermediate sums may overflow; torchao has its own ways then.
    """
    is_supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return torch.backends.mkldnn.is_available() and is_supported is not None and bool(is_supported())


def quantizes_rows(weight: Any) -> bool:
    """Whether a weight is torchao's of `Int8DynamicActivationInt8WeightConfig()` with its defaults.

    That is, one symmetric scale for each output, and states that are rounded to 8 bits with one symmetric scale for
    each row. torchao is not imported: its tensors are recognised by their attributes.
    """
    rounding = getattr(weight, "act_quant_kwargs", None)
    return (
        rounding is not None
        and type(weight).__name__ == "Int8Tensor"
        and weight.qdata.dim() == 2
        and weight.scale.shape == (len(weight.qdata), 1)
        and weight.act_pre_scale is None
        and weight.act_quant_scale is None
        and type(rounding.granularity).__name__ == "PerRow"
        and rounding.mapping_type.name == "SYMMETRIC"
        and not rounding.reduce_range
    )


def int8_linear(states: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
    """The linear layer of such a weight, in fewer passes over memory than torchao's own.

    Rows are independent of each other, so a result does not depend on the batch.

    Args:
        states: `(..., I)` float.
        weight: `(O, I)`; see `quantizes_rows`.
        bias: `(O,)` or None.

    Returns:
        `(..., O)` in the dtype of the states.
    """
    rows = states.reshape(-1, states.shape[-1])
    # (R, 1) float32; the largest state of a row becomes 127.5, as in torchao
    scales = rows.abs().amax(1, keepdim=True).float().mul_(2 / _STEPS).clamp_(min=_MIN_SCALE)
    rounded = (rows / scales).round_().clamp_(_SMALLEST, _LARGEST).to(torch.int8)
    product = torch._int_mm(rounded, weight.qdata.t()) * scales  # (R, O) float32
    if bias is None:
        product.mul_(weight.scale[:, 0])
    else:
        torch.addcmul(bias.float(), product, weight.scale[:, 0], out=product)
    return product.to(states.dtype).view(*states.shape[:-1], len(weight.qdata))
