# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batch normalisation that excludes padding.

Shapes: B batch, L positions, D width.
"""

import torch
from torch import Tensor, nn

from .modules_precision import at_least_float32


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
