# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tables in Markdown."""

from collections.abc import Sequence


def format_table(titles: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Lines of a table.

    Args:
        titles: cells of its head.
        rows: cells of the rows below.
        alignment: for each column `l` (left) or `r` (right).
    """
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (titles, *rows)]
    return [lines[0], "|" + "".join("---|" if side == "l" else "---:|" for side in alignment), *lines[1:]]
