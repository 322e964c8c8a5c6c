# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sequences packed in rows: their layout, of one or two segments each (speech, text, or both), and attention masks.

There is no padding between the segments of a pair, so that a sequence does not depend on its row. The states of both
segments come from one pool, first segments before second ones.
Shapes: Q sequences, R rows, L positions of a row, D width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .modules_lengths import restarting_position_ids


class SegmentRows(NamedTuple):
    """Positions of all sequences.

    Attributes:
        units: `(R, L)` int64 indices into the pool; 0 on padding.
        sequence_ids: `(R, L)` int64, 1 .. within a row; 0 on padding.
        position_ids: `(R, L)` int64, restarting with every segment.
        segment_ids: `(R, L)` int64, 0 in first segments and on padding, 1 in second ones.
        starts: `(Q,)` int64: flat position `r * L + l` of the first position of each sequence.
        is_packed: whether a row may hold several sequences.
    """

    units: Tensor
    sequence_ids: Tensor
    position_ids: Tensor
    segment_ids: Tensor
    starts: Tensor
    is_packed: bool


def lay_out_segments(
    first_starts: Tensor, first_lengths: Tensor, second_starts: Tensor, second_lengths: Tensor, pack: bool = False
) -> SegmentRows:
    """Lay out Q sequences, each of one run of the pool followed by another one.

    Args:
        first_starts: `(Q,)` int64 indices into the pool where the first segments begin.
        first_lengths: `(Q,)` int64, 0 for a sequence without a first segment.
        second_starts: `(Q,)` int64.
        second_lengths: `(Q,)` int64; the sum of both lengths is at least 1.
        pack: whether short sequences share rows, whose length is that of the longest sequence; else each has its own
            row.
    """
    lengths = first_lengths + second_lengths
    device = lengths.device
    longest = int(lengths.max())
    if pack:
        indices = torch.tensor(pack_sequences(lengths.tolist(), longest), device=device)
    else:
        indices = torch.zeros(len(lengths), 3, dtype=torch.int64, device=device)
        indices[:, 0] = torch.arange(len(lengths), device=device)
    row, offset, number = indices.unbind(1)
    num_rows = int(row.max()) + 1
    # (total positions,): sequence, and position within it
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    inside = torch.arange(len(owner), device=device) - (lengths.cumsum(0) - lengths)[owner]
    is_second = inside >= first_lengths[owner]
    position = torch.where(is_second, inside - first_lengths[owner], inside)
    unit = torch.where(is_second, second_starts[owner], first_starts[owner]) + position
    starts = row * longest + offset
    slots = starts[owner] + inside

    def place(values: Tensor) -> Tensor:
        flat = values.new_zeros(num_rows * longest, dtype=torch.int64)
        return flat.index_copy(0, slots, values.long()).view(num_rows, longest)

    return SegmentRows(place(unit), place(number[owner] + 1), place(position), place(is_second), starts, pack)


def pack_sequences(lengths: list[int], row_length: int) -> list[tuple[int, int, int]]:
    """First-fit decreasing packing: row, offset and number within the row for each sequence.

    Args:
        lengths: lengths of the sequences.
        row_length: length of the rows, at least that of the longest sequence.
    """
    indices = [(0, 0, 0)] * len(lengths)
    filled: list[tuple[int, int]] = []  # number of positions and sequences of each row
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        row = next((r for r, (used, _) in enumerate(filled) if used + lengths[index] <= row_length), len(filled))
        if row == len(filled):
            filled.append((0, 0))
        used, count = filled[row]
        indices[index] = (row, used, count)
        filled[row] = (used + lengths[index], count + 1)
    return indices


def same_sequence(query_ids: Tensor, key_ids: Tensor) -> Callable:
    """Mask function for transformers' `create_*_mask`: True where query and key have the same sequence id.

    Padding (id 0) attends to padding only: real positions are unaffected, and no row of the mask is empty (an empty
    row would give NaN in some backends).

    Args:
        query_ids: `(B, L)` int64.
        key_ids: `(B, S)` int64.
    """

    def allowed(batch_idx, head_idx, query_idx, key_idx):
        return query_ids[batch_idx, query_idx] == key_ids[batch_idx, key_idx]

    return allowed


def fold_chunks(states: Tensor, chunk_frames: int) -> Tensor:
    """Cut rows into chunks of W positions: `(B, L, ...) -> (B * C, W, ...)`; the last chunk ends in zeros."""
    padding = [0, 0] * (states.dim() - 2) + [0, -states.shape[1] % chunk_frames]
    return nn.functional.pad(states, padding).reshape(-1, chunk_frames, *states.shape[2:])


def unfold_chunks(chunks: Tensor, batch: int, length: int) -> Tensor:
    """The `batch` rows of `length` positions that [`fold_chunks`] has cut: `(B * C, W, ...) -> (B, L, ...)`."""
    return chunks.reshape(batch, -1, *chunks.shape[2:])[:, :length]


def fold_mask(mask: Tensor, chunk_frames: int) -> Tensor:
    """The mask `(B * C, W)` bool of the chunks of rows with the mask `(B, L)` bool, True on real positions.

    A chunk of padding alone is treated as real: attention over no position gives NaN in some backends.
    """
    chunks = fold_chunks(mask, chunk_frames)
    return chunks | ~chunks.any(dim=-1, keepdim=True)


def number_chunks(sequence_ids: Tensor, chunk_frames: int) -> Tensor:
    """Ids of the chunks of packed rows: equal within a chunk, which starts anew with every sequence.

    Args:
        sequence_ids: `(B, L)` int64, 0 on padding.
        chunk_frames: number of positions of a chunk.

    Returns:
        `(B, L)` int64, for [`same_sequence`].
    """
    length = sequence_ids.shape[1]
    return sequence_ids * length + restarting_position_ids(sequence_ids) // chunk_frames


def check_packing_backend(config) -> None:
    """Check that the attention backend supports a full mask, as packed rows require.

    Raises:
        ValueError: a flash-attention backend is used, which would silently attend across sequences.
    """
    backend = config._attn_implementation or "eager"
    if "flash" in backend:
        raise ValueError(
            "Packed rows (sequence_ids) require attn_implementation 'sdpa', 'flex_attention' or 'eager', but this "
            f"model uses {backend!r}. Call model.set_attn_implementation('sdpa')."
        )


def check_position_backend(config) -> None:
    """Check that the attention backend supports additive scores, as relative positions require.

    Raises:
        ValueError: another backend is used, which would silently ignore the positions.
    """
    backend = config._attn_implementation or "eager"
    if backend not in ("eager", "sdpa"):
        raise ValueError(
            f"position_embeddings_type={config.position_embeddings_type!r} requires attn_implementation 'sdpa' or "
            f"'eager'; this model uses {backend!r}. Call model.set_attn_implementation('sdpa')."
        )
