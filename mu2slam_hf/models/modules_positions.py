# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Absolute (sinusoidal) and rotary positions, computed from `position_ids` on the fly: no table, no length limit.

Letters: B batch, L positions, D width, H heads, E head size.
"""

import torch
from torch import Tensor


def sinusoidal_embedding(position_ids: Tensor, hidden_size: int) -> Tensor:
    """Sinusoidal positions: sines in the first half of the channels, cosines in the second.

    Paper: section 2.1, "the conventional positional embeddings".

    Args:
        position_ids: `(B, L)` int64.
        hidden_size: even width D.

    Returns:
        `(B, L, D)` float32.
    """
    angles = _angles(position_ids, hidden_size // 2, 10000.0)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def rotary_angles(position_ids: Tensor, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines that turn queries and keys.

    Args:
        position_ids: `(B, L)` int64.
        head_dim: even head size E.
        base: longest wavelength base.

    Returns:
        Two tensors `(B, 1, L, E)` float32, the halves repeated.
    """
    angles = _angles(position_ids, head_dim // 2, base)
    angles = torch.cat([angles, angles], dim=-1).unsqueeze(1)
    return angles.cos(), angles.sin()


def apply_rotary(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn `states` `(B, H, L, E)` by the angles of [`rotary_angles`]; dtype is kept."""
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return states * cosines.to(states.dtype) + turned * sines.to(states.dtype)


def _angles(position_ids: Tensor, num_frequencies: int, base: float) -> Tensor:
    steps = torch.arange(num_frequencies, device=position_ids.device, dtype=torch.float32)
    frequencies = base ** (-steps / num_frequencies)
    return position_ids[..., None].to(torch.float32) * frequencies
