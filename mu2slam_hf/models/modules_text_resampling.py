# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text at the frame rate of speech: residual convolutions, durations of tokens, and resampling by them.

Shapes: B batch, L tokens, N frames, D width.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .configuration_conformer import ConformerEncoderConfig
from .modules_conformer import ConformerConvolution
from .modules_layers import at_least_float32
from .modules_lengths import length_mask
from .modules_pooling import gather_units
from .modules_positions import sinusoidal_embedding


class ResidualConvolutions(nn.Module):
    """Convolution modules of the Conformer, each with a normalisation before it and a residual connection.

    Args:
        config: width, normalisation and activation; `conv_norm="layer"` makes an item independent of its row.
        num_layers: number of modules.
    """

    def __init__(self, config: ConformerEncoderConfig, num_layers: int):
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=eps) for _ in range(num_layers))
        self.layers = nn.ModuleList(ConformerConvolution(config) for _ in range(num_layers))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Convolve `states` `(B, L, D)` along the positions where `mask` `(B, L)` bool is True."""
        for norm, layer in zip(self.norms, self.layers, strict=True):
            states = states + layer(norm(states), mask, None)
        return states


class DurationPredictor(nn.Module):
    """Predicts `log(1 + d)` of the duration d of each token in frames.

    Paper: Maestro (Chen et al. 2022) section 2.2, convolutions of kernel 3. Choice: the logarithm, as in FastSpeech 2,
    so that long pauses do not dominate.

    Args:
        config: see [`ResidualConvolutions`].
        num_layers: number of convolution modules.
        max_frames: longest duration of a token.
    """

    def __init__(self, config: ConformerEncoderConfig, num_layers: int, max_frames: int):
        super().__init__()
        self.max_frames = max_frames
        self.convolutions = ResidualConvolutions(config, num_layers)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.linear = nn.Linear(config.hidden_size, 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logarithms `(B, L)`, at least float32, of `1 + d` for `states` `(B, L, D)` of tokens with the `mask`."""
        states = self.norm(self.convolutions(states, mask))
        return at_least_float32(self.linear(states)).squeeze(-1)

    def to_durations(self, log_durations: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Durations `(B, L)` int64 of predictions `(B, L)`, and the 0-d number of tokens that were cut.

        Longer durations than `max_frames` are cut; every text has at least one frame.
        """
        durations = torch.expm1(log_durations.detach().double()).clamp(min=0.0)
        is_cut = (durations > self.max_frames) & mask
        return round_durations(durations.clamp(max=self.max_frames), mask), is_cut.sum()


def round_durations(durations: Tensor, mask: Tensor) -> Tensor:
    """Round durations so that the total of a text is that of its durations, rounded.

    The running sums are rounded, not the durations: those of characters are often below a frame. A text whose total
    would be 0 gets one frame, in its first token.

    Args:
        durations: `(B, L)` float, at least 0.
        mask: `(B, L)` bool, True on real tokens (on the left).

    Returns:
        `(B, L)` int64, 0 on padding.
    """
    ends = durations.double().masked_fill(~mask, 0.0).cumsum(dim=1).round().long()
    rounded = torch.diff(ends, dim=1, prepend=ends.new_zeros(len(ends), 1))
    rounded[:, 0] += (ends[:, -1] == 0).long()
    return rounded


class ResampledText(NamedTuple):
    """Text at the frame rate of speech.

    Attributes:
        states: `(B, N, D)`, zero on padding.
        mask: `(B, N)` bool, True on real frames.
    """

    states: Tensor
    mask: Tensor


def resample(states: Tensor, durations: Tensor, num_frames: int | None = None) -> ResampledText:
    """Repeat each token for its duration, and add the position within the token.

    Paper: Maestro section 2.2, "the resampler copies the original text embedding to the target length of specified
    duration with positional embedding".

    Args:
        states: `(B, L, D)` float.
        durations: `(B, L)` int64 frames of each token, 0 on padding.
        num_frames: length N of the rows; None means the largest total.

    Raises:
        ValueError: durations that add up to more than `num_frames`.
    """
    batch, length, width = states.shape
    ends = durations.cumsum(dim=1)
    lengths = ends[:, -1]
    longest = int(lengths.max())
    if num_frames is None:
        num_frames = longest
    elif longest > num_frames:
        raise ValueError(f"The durations of a text add up to {longest} frames, more than the {num_frames} given.")
    frames = torch.arange(num_frames, device=states.device)
    # The token of a frame is the first one that ends after it.
    tokens = torch.searchsorted(ends, frames.expand(batch, -1).contiguous(), right=True).clamp(max=length - 1)
    inside = frames - (ends - durations).gather(1, tokens)
    rows = torch.arange(batch, device=states.device)[:, None] * length
    resampled = gather_units(states.flatten(0, 1), rows + tokens)
    resampled = resampled + sinusoidal_embedding(inside, width).to(states.dtype)
    mask = length_mask(lengths, len(frames))
    return ResampledText(resampled.masked_fill(~mask[..., None], 0.0), mask)
