# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Padding of rows to one length."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.data.masking import IntArray


def padded_length(length: int, multiple: int = 1) -> int:
    """The next multiple of `multiple`, at least 1."""
    return max(1, length) + -max(1, length) % multiple


def pad_rows(rows: Sequence[Sequence[int] | IntArray], value: int, multiple: int = 1) -> Tensor:
    """Pad rows on the right.

    Args:
        rows: values of each row; without rows the result is one row of padding.
        value: value of the padding.
        multiple: multiple for L, limits the number of shapes.

    Returns:
        `(B, L)` int64, L at least 1.
    """
    rows = rows or [[]]
    padded = np.full((len(rows), padded_length(max(map(len, rows)), multiple)), value, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)
