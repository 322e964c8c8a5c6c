# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Packing of views into rows of equal length, and the tensors of the rows.

Legend: R = rows, L = encoder positions of a row, D = decoder positions of a row, S = maximum number of views in a row.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.collation.padding import pad_rows, padded_length
from mu2slam_hf.data.collation.views import Segment, UnitPool, View
from mu2slam_hf.models.modules_losses import IGNORE_INDEX

ATTENTION_LENGTH = 2000
"""Row length at which attention costs as much as the rest of a layer.

Choice: rows of a few hundred positions; longer ones have less padding, but more attention between sequences that are
masked from each other.
"""
_SLACK_STEP = 0.02


class PaddingShare(NamedTuple):
    """Positions of padding per position, 0 for none."""

    encoder: float
    decoder: float


def pack_rows(
    encoder_lengths: Sequence[int],
    decoder_lengths: Sequence[int],
    *,
    max_row_length: int | None = None,
    attention_length: float = ATTENTION_LENGTH,
) -> list[list[int]]:
    """Distribute items over rows of equal length, at the lowest cost.

    For every promising number of rows, the shortest row length is determined at which best-fit decreasing needs
    no more rows. Cost of R rows of L and D positions: `R * (L * (1 + L / a) + D * (1 + D / a))` with a =
    `attention_length`. The result depends on the arguments only.

    Args:
        encoder_lengths: encoder positions of each item.
        decoder_lengths: decoder positions of each item.
        max_row_length: maximum number of positions of a row on either side, or the longest item if it is longer.
        attention_length: see `ATTENTION_LENGTH`.

    Returns:
        items of each row, in ascending order; every item is in exactly one row, no row is empty.

    Raises:
        ValueError: the two lists differ in length.
    """
    if len(encoder_lengths) != len(decoder_lengths):
        raise ValueError(
            f"expected two lengths for every item, got {len(encoder_lengths)} for the encoder and "
            f"{len(decoder_lengths)} for the decoder"
        )
    if not encoder_lengths:
        return []
    lengths = np.array([encoder_lengths, decoder_lengths], dtype=np.int64)  # (2, items)
    longest, total = lengths.max(axis=1), lengths.sum(axis=1)
    bound = total if max_row_length is None else np.maximum(longest, max_row_length)
    # Rows as short as the items allow and without padding: a lower bound on the cost for each number of rows.
    numbers = np.arange(1, len(encoder_lengths) + 1)
    shortest = np.maximum(longest, -(-total // numbers[:, None]))  # (items, 2)
    least = compute_row_cost(numbers, shortest, attention_length)
    best: list[list[int]] = []
    best_cost = float("inf")
    for index in np.argsort(least, kind="stable"):
        if least[index] >= best_cost:
            break
        results = _fill_rows(lengths, shortest[index], int(numbers[index]), bound, attention_length, best_cost)
        if results is None:
            continue
        longest_row = np.array([lengths[:, row].sum(axis=1) for row in results]).max(axis=0)
        cost = float(compute_row_cost(np.array(len(results)), longest_row, attention_length))
        if cost < best_cost:
            best, best_cost = results, cost
    return [sorted(row) for row in best]


def compute_row_cost(num_rows: np.ndarray, row_lengths: np.ndarray, attention_length: float) -> np.ndarray:
    """Cost of rows in positions without attention: `(...,)` numbers and `(..., 2)` lengths -> `(...,)` float64."""
    return num_rows * (row_lengths * (1 + row_lengths / attention_length)).sum(axis=-1)


def _fill_rows(
    lengths: np.ndarray,
    shortest: np.ndarray,
    num_rows: int,
    bound: np.ndarray,
    attention_length: float,
    most: float,
) -> list[list[int]] | None:
    """Best-fit decreasing into at most `num_rows` rows, as short as possible.

    None if `bound`, the maximum capacity `(2,)`, is too small, or the rows would cost `most` or more.
    """
    order = np.argsort(-lengths.sum(axis=0), kind="stable").tolist()
    items = [(item, int(lengths[0, item]), int(lengths[1, item])) for item in order]
    if (shortest > bound).any():
        return None
    slack = 1.0
    while True:
        capacity = np.minimum(np.ceil(shortest * slack).astype(np.int64), bound)
        if compute_row_cost(np.array(num_rows), capacity, attention_length) >= most:
            return None
        rows = _best_fit(items, int(capacity[0]), int(capacity[1]), num_rows)
        if rows is not None:
            return rows
        if (capacity == bound).all():
            return None
        slack += _SLACK_STEP


def _best_fit(
    items: Sequence[tuple[int, int, int]], encoder_capacity: int, decoder_capacity: int, num_rows: int
) -> list[list[int]] | None:
    """Pack each item into the row with the least remaining space; None if the rows are too small."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for item, encoder_length, decoder_length in items:
        chosen, least = -1, None
        for row, (encoder_room, decoder_room) in enumerate(room):
            if encoder_length <= encoder_room and decoder_length <= decoder_room:
                left = encoder_room + decoder_room
                if least is None or left < least:
                    chosen, least = row, left
        if chosen < 0:
            if len(rows) == num_rows:
                return None
            chosen = len(rows)
            rows.append([])
            room.append((encoder_capacity, decoder_capacity))
        rows[chosen].append(item)
        room[chosen] = (room[chosen][0] - encoder_length, room[chosen][1] - decoder_length)
    return rows


def assemble_rows(rows: Sequence[Sequence[View]], pool: UnitPool, *, pad_to_multiple_of: int = 1) -> dict[str, Tensor]:
    """The tensors of packed views.

    Args:
        rows: views of each row, in order; at least one row, which may be empty.
        pool: index space of their units.
        pad_to_multiple_of: multiple for L and D.

    Returns:
        All int64. `(R, L)`: `encoder_units` (pad on padding), `sequence_ids` (1, 2, ... within a row, 0 on padding),
        `position_ids` (restart per segment), `language_ids`, `modality_ids` (both 0 on padding).
        `(R, D)`: `decoder_units` and `decoder_sequence_ids`, `_position_ids`, `_language_ids`, `_modality_ids`
        likewise; `decoder_source_ids`: sequence id of the view in the encoder row, on padding 1, so that no position
        has an empty source (0 in an empty row, whose encoder positions are all 0).
        `(k,)`: `mlm_positions` (flat, `r * L + l`), `mlm_labels` (units), `mlm_view_ids`; `decoder_label_positions`
        (`r * D + d`), `decoder_labels`, `decoder_view_ids`.
        `source_language_labels` `(R, S + 1)`: in column s the label of sequence id s, -100 if there is none.
        `ctc_positions` `(C, Nc)`: flat encoder positions of each view with `ctc_labels`, -1 on padding; `ctc_labels`
        `(C, Lc)`, -100 on padding. Without such a view: one row with position 0 and no label.
    """
    lengths = (
        max(sum(view.encoder_length for view in row) for row in rows),
        max(sum(view.decoder_length for view in row) for row in rows),
    )
    encoder, decoder = (_Side(len(rows), padded_length(length, pad_to_multiple_of), pool.pad) for length in lengths)
    source_ids = np.zeros_like(decoder.units)
    language_labels = np.full((len(rows), max(map(len, rows)) + 1), IGNORE_INDEX, dtype=np.int64)
    ctc_positions: list[np.ndarray] = []
    ctc_labels: list[np.ndarray] = []
    for number, row in enumerate(rows):
        source_ids[number] = 1 if row else 0
        for sequence_id, view in enumerate(row, start=1):
            language_labels[number, sequence_id] = view.language_label
            first = encoder.end
            for segment in view.segments:
                encoder.add(segment, sequence_id, view.view_id)
            if view.ctc_labels is not None:
                ctc_positions.append(np.arange(first, encoder.end))
                ctc_labels.append(view.ctc_labels)
            for sequence in view.sequences:
                start, end = decoder.add(sequence, decoder.num_in_row + 1, view.view_id)
                source_ids.reshape(-1)[start:end] = sequence_id
        encoder.next_row()
        decoder.next_row()
    tensors = {
        "encoder_units": encoder.units,
        "sequence_ids": encoder.sequence_ids,
        "position_ids": encoder.position_ids,
        "language_ids": encoder.language_ids,
        "modality_ids": encoder.modality_ids,
        "decoder_units": decoder.units,
        "decoder_sequence_ids": decoder.sequence_ids,
        "decoder_source_ids": source_ids,
        "decoder_position_ids": decoder.position_ids,
        "decoder_language_ids": decoder.language_ids,
        "decoder_modality_ids": decoder.modality_ids,
        "source_language_labels": language_labels,
    }
    tensors |= dict(zip(("mlm_positions", "mlm_labels", "mlm_view_ids"), encoder.targets(), strict=True))
    names = ("decoder_label_positions", "decoder_labels", "decoder_view_ids")
    tensors |= dict(zip(names, decoder.targets(), strict=True))
    return {
        **{name: torch.from_numpy(values) for name, values in tensors.items()},
        "ctc_positions": pad_rows(ctc_positions or [np.zeros(1, dtype=np.int64)], -1),
        "ctc_labels": pad_rows(ctc_labels, IGNORE_INDEX),
    }


class _Side:
    """Rows of the encoder or of the decoder, filled row by row and from left to right."""

    def __init__(self, num_rows: int, row_length: int, pad_unit: int) -> None:
        shape = (num_rows, row_length)
        self.units = np.full(shape, pad_unit, dtype=np.int64)
        self.sequence_ids = np.zeros(shape, dtype=np.int64)
        self.position_ids = np.zeros(shape, dtype=np.int64)
        self.language_ids = np.zeros(shape, dtype=np.int64)
        self.modality_ids = np.zeros(shape, dtype=np.int64)
        self.end = 0
        self.num_in_row = 0
        self._row, self._row_length = 0, row_length
        self._targets: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, part: Segment, sequence_id: int, view_id: int) -> tuple[int, int]:
        """Append a segment; returns its flat positions, end exclusive."""
        start, self.end = self.end, self.end + len(part.units)
        place = (self._row, slice(start - self._row * self._row_length, self.end - self._row * self._row_length))
        self.units[place] = part.units
        self.sequence_ids[place] = sequence_id
        self.position_ids[place] = np.arange(len(part.units))
        self.language_ids[place] = part.language_id
        self.modality_ids[place] = part.modality_id
        self._targets.append((start + part.label_positions, part.labels, np.full(len(part.labels), view_id)))
        self.num_in_row += 1
        return start, self.end

    def next_row(self) -> None:
        """Continue at the beginning of the next row."""
        self._row += 1
        self.end, self.num_in_row = self._row * self._row_length, 0

    def targets(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Flat positions, labels and numbers of their views, each `(k,)` int64."""
        columns = zip(*self._targets, strict=True) if self._targets else ([], [], [])
        empty = np.zeros(0, dtype=np.int64)
        positions, labels, view_ids = (np.concatenate([empty, *column]) for column in columns)
        return positions, labels, view_ids


def padding_share(batch: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> PaddingShare:
    """Share of padding in the encoder and decoder positions of a batch, or of a list of batches together."""
    batches = [batch] if isinstance(batch, Mapping) else list(batch)
    shares = []
    for name in ("sequence_ids", "decoder_sequence_ids"):
        padding = sum(int((item[name] == 0).sum()) for item in batches)
        shares.append(padding / max(1, sum(item[name].numel() for item in batches)))
    return PaddingShare(*shares)
