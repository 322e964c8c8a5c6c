# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Masked frames: spans determined by their position, and replacements by random vectors or one embedding.

Shapes: U utterances, N encoder frames, K masked frames, D width.
"""

import math

import torch
from torch import Tensor, nn

from .modules_lengths import length_mask

_WORD = 0xFFFFFFFF
_GOLDEN = 0x9E3779B1


def counter_noise(seeds: Tensor, frames: Tensor, width: int) -> Tensor:
    """Standard normal vectors, each a function of a seed and a frame index only.

    Choice: no stateful generator, so that the vectors do not depend on the rest of the batch, its padding, the device,
    or resuming.

    Args:
        seeds: `(K,)` int64.
        frames: `(K,)` int64, indices of the frames in their utterances.
        width: D.

    Returns:
        `(K, D)` float32.
    """
    keys = _frame_keys(seeds, frames)
    pairs = torch.arange(width + width % 2, device=seeds.device)
    # (K, 2 * ceil(D / 2)) in (0, 1]
    uniform = _to_uniform(_mix(keys[:, None] + pairs * _GOLDEN & _WORD))
    # Box-Muller: two uniform numbers give two normal ones.
    radius, angle = (-2.0 * uniform[:, 0::2].log()).sqrt(), 2.0 * math.pi * uniform[:, 1::2]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)[:, :width]


def counter_spans(seeds: Tensor, lengths: Tensor, num_frames: int, start_prob: float, span_length: int) -> Tensor:
    """Spans of frames to mask, each frame a function of a seed and its index only.

    For rows whose length only the model knows. Spans may overlap; a span ends with its row.

    Args:
        seeds: `(U,)` int64.
        lengths: `(U,)` int64 real frames of each row.
        num_frames: N.
        start_prob: probability that a span starts at a frame.
        span_length: number of frames of a span.

    Returns:
        `(U, N)` bool, True on frames to mask.
    """
    frames = torch.arange(num_frames, device=seeds.device)
    # Another key than that of the noise of the same frame.
    keys = _mix(_frame_keys(seeds[:, None], frames) ^ _GOLDEN)
    started = (_to_uniform(keys) <= start_prob).long().cumsum(dim=1)
    before = nn.functional.pad(started, (span_length, 0))[:, :num_frames]
    return (started > before) & length_mask(lengths, num_frames)


def _frame_keys(seeds: Tensor, frames: Tensor) -> Tensor:
    """Hashes of 32 bits of seeds and frame indices, int64 of their common shape."""
    keys = _mix(_mix(seeds & _WORD) ^ (seeds >> 32 & _WORD))
    return _mix(keys ^ (frames * _GOLDEN & _WORD))


def _to_uniform(words: Tensor) -> Tensor:
    """Numbers in (0, 1] of 32-bit words; 24 bits, exact in float32."""
    return ((words >> 8) + 1).to(torch.float32) * 2.0**-24


def _mix(words: Tensor) -> Tensor:
    """Hash of 32-bit words in int64: finaliser of MurmurHash3 (products may wrap, their low half is exact)."""
    words = words ^ words >> 16
    words = words * 0x85EBCA6B & _WORD
    words = words ^ words >> 13
    words = words * 0xC2B2AE35 & _WORD
    return words ^ words >> 16


def replace_frames(frames: Tensor, mask_time_indices: Tensor, substitutes: Tensor) -> Tensor:
    """Replace masked frames; no gradient reaches the masked frames.

    Args:
        frames: `(U, N, D)`.
        mask_time_indices: `(U, N)` bool, True on masked frames.
        substitutes: `(K, D)` for the masked frames in order, or `(D,)` for all of them.
    """
    if substitutes.ndim == 1:
        return torch.where(mask_time_indices[..., None], substitutes.to(frames.dtype), frames)
    return frames.masked_scatter(mask_time_indices[..., None], substitutes.to(frames.dtype))
