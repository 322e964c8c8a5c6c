# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Length arithmetic of all front ends.

Shapes: B batch, T feature frames (100 Hz; `stacked_frames`: 50 Hz; `waveform`: samples), N encoder frames (25 Hz;
    `stacked_frames` and `waveform`: 50 Hz), L positions of a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


def conv_output_length(length):
    """Length after one stride-2 convolution of kernel 3 and padding 1: `ceil(length / 2)`, int or integer tensor."""
    return (length + 1) // 2


def valid_conv_length(length, kernel: int, stride: int):
    """Length after one convolution without padding: `floor((length - kernel) / stride) + 1`, int or integer tensor."""
    return (length - kernel) // stride + 1


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Number of samples covered by one output of convolutions without padding."""
    length = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        length = (length - 1) * stride + kernel
    return length


def at_least(length, minimum: int):
    """The larger of `length`, int or integer tensor, and `minimum`."""
    return length.clamp(min=minimum) if isinstance(length, Tensor) else max(length, minimum)


def encoder_length(num_frames, encoder_config=None):
    """Number of encoder frames of an utterance.

    Args:
        num_frames: length of the input of the front end, int or integer tensor: 10 ms frames, stacked frames or
            samples.
        encoder_config: configuration with the front end; None means `conv2d`, which reads log-mel features.

    Returns:
        the same type as `num_frames`. `conv2d`: `ceil(ceil(T / 2) / 2)`; `stacked_frames`: T; `waveform`: output
        length of the convolutions, at least 1 (shorter input is padded with silence).
    """
    frontend = "conv2d" if encoder_config is None else encoder_config.frontend
    if frontend == "stacked_frames":
        return num_frames
    if frontend == "waveform":
        kernels, strides = encoder_config.conv_kernel, encoder_config.conv_stride
        length = at_least(num_frames, receptive_field(kernels, strides))
        for kernel, stride in zip(kernels, strides, strict=True):
            length = valid_conv_length(length, kernel, stride)
        return length
    return conv_output_length(conv_output_length(num_frames))


def audio_embedding_length(num_frames, audio_lengths: Mapping[str, Any]):
    """Number of embeddings that an audio adapter makes of a recording.

    Args:
        num_frames: length of the input of the front end without padding, int or integer tensor.
        audio_lengths: `SpeechLLMConfig.audio_lengths`: `frontend` as in `encoder_length`, or `whisper`, whose
            convolutions halve the 10 ms frames; `stride` of the adapter.

    Returns:
        `ceil(N / stride)`, the same type as `num_frames`.
    """
    if audio_lengths["frontend"] == "whisper":
        length = conv_output_length(num_frames)
    else:
        length = encoder_length(num_frames, SimpleNamespace(**audio_lengths))
    return (length + audio_lengths["stride"] - 1) // audio_lengths["stride"]


def length_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Mask of rows of the given lengths.

    Args:
        lengths: `(B,)` int64.
        max_length: length of the padded row.

    Returns:
        `(B, max_length)` bool, True on real positions.
    """
    return torch.arange(max_length, device=lengths.device) < lengths[:, None]


def downsample_attention_mask(attention_mask: Tensor, encoder_config=None) -> Tensor:
    """Mask of the output frames of the front end.

    Args:
        attention_mask: `(B, T)` int64 or bool, 1 on real 10 ms frames (stacked frames, samples), 0 on padding (on the
            right).
        encoder_config: configuration with the front end; None means `conv2d`.

    Returns:
        `(B, N)` bool, N as in [`encoder_length`]; True on frames that cover at least one real input frame.
    """
    lengths = encoder_length(attention_mask.to(torch.int64).sum(-1), encoder_config)
    return length_mask(lengths, encoder_length(attention_mask.shape[1], encoder_config))


def restarting_position_ids(sequence_ids: Tensor) -> Tensor:
    """Positions that restart at every sequence of a packed row.

    Args:
        sequence_ids: `(B, L)` int64, equal within a sequence, different for adjacent sequences, 0 on padding.

    Returns:
        `(B, L)` int64: 0, 1, 2, ... within each run of equal ids.
    """
    positions = torch.arange(sequence_ids.shape[1], device=sequence_ids.device).expand_as(sequence_ids)
    starts = torch.ones_like(sequence_ids, dtype=torch.bool)
    starts[:, 1:] = sequence_ids[:, 1:] != sequence_ids[:, :-1]
    own_start = torch.where(starts, positions, torch.zeros_like(positions))
    if torch.compiler.is_exporting():
        # ONNX has no cumulative maximum.
        run = starts.to(torch.int64).cumsum(dim=1) - 1
        return positions - torch.zeros_like(positions).scatter_add(1, run, own_start).gather(1, run)
    return positions - own_start.cummax(dim=1).values


def default_position_ids(embeds: Tensor, sequence_ids: Tensor | None, past_length: int | Tensor = 0) -> Tensor:
    """Positions `(1, L)` of unpacked rows, or `(B, L)` restarting in each sequence of packed rows.

    Args:
        embeds: `(B, L, D)`; only its shape is used.
        sequence_ids: `(B, L)` int64 for packed rows, else None.
        past_length: number of cached positions before the first one, for unpacked rows.
    """
    if sequence_ids is not None:
        return restarting_position_ids(sequence_ids)
    return (torch.arange(embeds.shape[1], device=embeds.device) + past_length)[None]


def group_by_size(sizes: Sequence[float], budget: float, batch_size: int) -> Iterator[list[int]]:
    """Positions of the items, longest first, in groups whose padded size does not exceed the budget.

    Args:
        sizes: size of each item.
        budget: maximum number of items times size of the longest; an item above it is a group of its own.
        batch_size: maximum number of items.

    Raises:
        ValueError: budget or number of items is not positive.
    """
    if batch_size < 1 or budget <= 0:
        raise ValueError(f"batch_size and budget must be positive, got {batch_size} and {budget}")
    group: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda place: (-sizes[place], place)):
        if len(group) == batch_size or (group and sizes[group[0]] * (len(group) + 1) > budget):
            yield group
            group = []
        group.append(index)
    if group:
        yield group
