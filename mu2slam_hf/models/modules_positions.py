# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Positions: absolute (sinusoidal), rotary and relative, computed on the fly without a length limit.

Absolute and rotary positions use `position_ids`; relative positions use the distance within the row, which does not
depend on packing and segments.

Shapes: B batch, L positions, D width, H heads, E head size.
"""

import math

import torch
from torch import Tensor, nn


def sinusoidal_embedding(position_ids: Tensor, hidden_size: int, is_inclusive: bool = False) -> Tensor:
    """Sinusoidal positions: sines in the first half of the channels, cosines in the second.

    Paper: section 2.1, "the conventional positional embeddings".

    Args:
        position_ids: `(B, L)` int64.
        hidden_size: even width D.
        is_inclusive: whether the longest wavelength is exactly `10000 * 2 * pi`, as in fairseq and M2M100.

    Returns:
        `(B, L, D)` float32.
    """
    angles = _angles(position_ids, hidden_size // 2, 10000.0, is_inclusive)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def add_sinusoids(embeds: Tensor, position_ids: Tensor, chunk_frames: int | None = None) -> Tensor:
    """Add sinusoidal positions to `embeds` `(B, L, D)`.

    Args:
        embeds: `(B, L, D)` float.
        position_ids: `(B, L)` int64.
        chunk_frames: length of the chunks of chunk-wise attention, in each of which positions restart; None for full
            attention.
    """
    if chunk_frames is not None:
        position_ids = position_ids % chunk_frames
    return embeds + sinusoidal_embedding(position_ids, embeds.shape[-1]).to(embeds.dtype)


def rotary_angles(position_ids: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines that rotate queries and keys.

    Args:
        position_ids: `(B, L)` int64.
        head_dim: even head size E.
        base: base of the wavelengths.

    Returns:
        Two tensors `(B, 1, L, E)` float32, with both halves equal.
    """
    angles = _angles(position_ids, head_dim // 2, base)
    angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
    return angles.cos(), angles.sin()


def apply_rotary(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate `states` `(B, H, L, E)` by the angles of [`rotary_angles`]; the dtype is kept."""
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return states * cosines.to(states.dtype) + turned * sines.to(states.dtype)


def relative_sinusoids(length: int, hidden_size: int, device: torch.device) -> Tensor:
    """Sines and cosines, interleaved, of all distances in a row (Dai et al., 2019, Transformer-XL).

    Args:
        length: length L of the row.
        hidden_size: even width D.
        device: device of the result.

    Returns:
        `(1, 2 * L - 1, D)` float32; row k is the distance `L - 1 - k`, positive if the key is to the left.
    """
    distances = torch.arange(length - 1, -length, -1, device=device, dtype=torch.float32)
    steps = torch.arange(0, hidden_size, 2, device=device, dtype=torch.float32)
    angles = distances[:, None] * torch.exp(steps * -(math.log(10000.0) / hidden_size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)[None]


def align_distances(scores: Tensor) -> Tensor:
    """Convert scores per distance to scores per key.

    Args:
        scores: `(B, H, L, 2 * L - 1)`, the last axis as the rows of [`relative_sinusoids`].

    Returns:
        `(B, H, L, L)`: `output[..., i, j] = scores[..., i, L - 1 - i + j]`.
    """
    batch, heads, length, distances = scores.shape
    # One column of padding shifts every row by one position relative to the row above it.
    scores = nn.functional.pad(scores, (1, 0)).view(batch, heads, distances + 1, length)
    return scores[:, :, 1:].reshape(batch, heads, length, distances)[..., :length]


def clipped_distances(length: int, left: int, right: int, device: torch.device) -> Tensor:
    """Indices into the table of `relative_key`: distance `j - i` clipped to `[-left, right]`, plus `left`.

    Returns:
        `(L, L)` int64 in `[0, left + right]`.
    """
    positions = torch.arange(length, device=device)
    return (positions[None] - positions[:, None]).clamp(-left, right) + left


def add_position_scores(attention_mask: Tensor | None, scores: Tensor) -> Tensor:
    """Combine position scores and mask into one additive mask for the attention backend.

    Args:
        attention_mask: None, `(B, 1, L, L)` bool (True where allowed), or float to add.
        scores: `(B, H, L, L)`.
    """
    if attention_mask is None:
        return scores
    if attention_mask.dtype == torch.bool:
        return scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    return scores + attention_mask


def _angles(position_ids: Tensor, num_frequencies: int, base: float, is_inclusive: bool = False) -> Tensor:
    steps = torch.arange(num_frequencies, device=position_ids.device, dtype=torch.float32)
    frequencies = base ** (-steps / max(1, num_frequencies - is_inclusive))
    return position_ids[..., None].to(torch.float32) * frequencies
