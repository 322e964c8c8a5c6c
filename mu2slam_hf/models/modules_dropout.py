# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Dropout with cheap random numbers on a CPU."""

import torch
from torch import Tensor, nn

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
