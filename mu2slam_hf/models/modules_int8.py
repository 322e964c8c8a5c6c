# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Products with the 8-bit weights of torchao, for inference on a CPU.

Letters: R rows, I inputs, O outputs.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

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
