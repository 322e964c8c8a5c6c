# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plain-text tables."""

from collections.abc import Iterable, Sequence


def align_columns(rows: Sequence[Sequence[str]], num_left: int = 1) -> list[str]:
    """One line for each row of cells, without spaces at its end.

    Args:
        rows: cells, the same number in each row.
        num_left: number of columns that are aligned left; the others are aligned right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < num_left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def format_tsv(rows: Iterable[Sequence[str]]) -> str:
    """A table with tabs; white space inside a cell, which may be a tab or a line break, is a single space."""
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
