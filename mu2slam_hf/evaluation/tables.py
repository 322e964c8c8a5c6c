# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plain-text tables."""

from collections.abc import Sequence


def align_columns(rows: Sequence[Sequence[str]], num_left: int = 1) -> list[str]:
    """One line for each row of cells, without spaces at its end.

    Args:
        rows: cells, the same number in each row.
        num_left: number of columns that are aligned left; the others are aligned right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < num_left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
