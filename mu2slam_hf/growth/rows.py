# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""New rows of tables that start from trained ones."""

from collections.abc import Sequence

import torch
from torch import Tensor


def start_row(
    values: Tensor, row: int, trained: Tensor, sources: Sequence[int], noise_seed: int | None = None
) -> None:
    """Set a row to the mean of trained ones.

    Args:
        values: table `(V, D)` or bias `(V,)`; changed in place.
        row: number of the row.
        trained: table with the trained rows, of the same width.
        sources: numbers of at least one trained row.
        noise_seed: seed of a random difference of 1 % of the length of the mean, so that two rows with the same
            sources differ; None for none. A bias gets none.
    """
    mean = trained[list(sources)].float().mean(0)
    if noise_seed is not None and mean.dim():
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(noise_seed)).to(mean.device)
        mean = mean + 0.01 * mean.norm() * noise / noise.norm()
    values[row] = mean.to(values.dtype)
