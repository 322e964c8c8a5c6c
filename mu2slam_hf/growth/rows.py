# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tables with a row for each token or language, and new rows that start from trained ones."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

VOCABULARY_HEADS = ("lm_head", "mlm_head", "ctc_head")
TOKEN_TABLES = (
    ".embed_tokens.weight",
    *(f".{head}.{kind}" for head in VOCABULARY_HEADS for kind in ("weight", "bias")),
)
"""Ends of the names of tables `(V, ...)` with a row for each token."""
LANGUAGE_TABLES = (".embed_languages.weight", ".language_head.weight", ".language_head.bias")
"""The same with a row for each language."""


def has_rows_of(name: str, tables: tuple[str, ...]) -> bool:
    """Whether a parameter is one of `TOKEN_TABLES` or `LANGUAGE_TABLES`, by its name."""
    return f".{name}".endswith(tables)


def select_tables(state: Mapping[str, Tensor], tables: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """Names and values of the parameters that are one of the tables."""
    return ((name, values) for name, values in state.items() if has_rows_of(name, tables))


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
