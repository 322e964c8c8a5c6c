# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Names of the parameters with a row for each token or language.

Shapes: V vocabulary, D width.
"""

from collections.abc import Iterator, Mapping

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


__all__ = ["LANGUAGE_TABLES", "TOKEN_TABLES", "VOCABULARY_HEADS", "has_rows_of", "select_tables"]
