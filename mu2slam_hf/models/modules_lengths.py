# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The only length arithmetic of the package.

Letters: B batch, T feature frames (100 Hz), N encoder frames (25 Hz), L positions of a row.
"""

import torch
from torch import Tensor


def conv_output_length(length):
    """Length after one stride-2 convolution of kernel 3 and padding 1: `ceil(length / 2)`, int or integer tensor."""
    return (length + 1) // 2


def encoder_length(num_frames):
    """Encoder frames of `num_frames` feature frames: `ceil(ceil(T / 2) / 2)`, int or integer tensor."""
    return conv_output_length(conv_output_length(num_frames))


def length_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Mask of rows of the given lengths.

    Args:
        lengths: `(B,)` int64.
        max_length: positions of the padded row.

    Returns:
        `(B, max_length)` bool, True on real positions.
    """
    return torch.arange(max_length, device=lengths.device) < lengths[:, None]


def downsample_attention_mask(attention_mask: Tensor) -> Tensor:
    """Mask of the frames that leave the convolutional front end.

    Args:
        attention_mask: `(B, T)` int64 or bool, 1 on real 10 ms frames, 0 on padding (on the right).

    Returns:
        `(B, N)` bool, `N = ceil(ceil(T / 2) / 2)`; True on frames that see at least one real frame.
    """
    lengths = encoder_length(attention_mask.to(torch.int64).sum(-1))
    return length_mask(lengths, encoder_length(attention_mask.shape[1]))


def restarting_position_ids(sequence_ids: Tensor) -> Tensor:
    """Positions that restart at every sequence of a packed row.

    Args:
        sequence_ids: `(B, L)` int64, equal within one sequence, different between neighbours, 0 on padding.

    Returns:
        `(B, L)` int64: 0, 1, 2, ... within each run of equal ids.
    """
    positions = torch.arange(sequence_ids.shape[1], device=sequence_ids.device).expand_as(sequence_ids)
    starts = torch.ones_like(sequence_ids, dtype=torch.bool)
    starts[:, 1:] = sequence_ids[:, 1:] != sequence_ids[:, :-1]
    run_start = torch.where(starts, positions, torch.zeros_like(positions)).cummax(dim=1).values
    return positions - run_start
