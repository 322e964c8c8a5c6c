# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Many losses as a short table for the console."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LossTable:
    """Layout of a table of losses.

    Attributes:
        columns: headings of the columns.
        rows: heading of a row -> name of the loss in each column, "" for none.
    """

    columns: Sequence[str]
    rows: Mapping[str, Sequence[str]]


def split_losses(logs: Mapping[str, Any], table: LossTable | None) -> tuple[dict[str, float], dict[str, Any]]:
    """Losses of a table, without the prefix of their names, and all other figures.

    Numbers of targets (`count_...`) are for the log file only and in neither result.

    Args:
        logs: logs of the trainer; names may have a prefix (`eval_`, `eval_<development set>_`).
        table: layout; with None all losses stay with the other figures.
    """
    known = set() if table is None else {name for row in table.rows.values() for name in row}
    losses: dict[str, float] = {}
    rest: dict[str, Any] = {}
    for name, value in logs.items():
        _, mark, loss = name.rpartition("loss_")
        if mark and loss in known:
            losses[loss] = value
        elif not name.startswith("count_"):
            rest[name] = value
    return losses, rest


def format_loss_table(losses: Mapping[str, float], table: LossTable) -> str:
    """The headings and one line for each row, with the columns that have a loss; `-` for a missing loss."""
    shown = [place for place in range(len(table.columns)) if any(row[place] in losses for row in table.rows.values())]
    widths = [max(7, len(table.columns[place]) + 2) for place in shown]
    margin = max(len(heading) for heading in table.rows) + 2
    lines = ["".join([" " * margin, *(f"{table.columns[p]:>{w}}" for p, w in zip(shown, widths, strict=True))])]
    for heading, row in table.rows.items():
        cells = [_cell(row[place], losses) for place in shown]
        lines.append(f"  {heading}".ljust(margin) + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    return "\n".join(line.rstrip() for line in lines)


def _cell(name: str, losses: Mapping[str, float]) -> str:
    return f"{losses[name]:.3f}" if name in losses else "-" if name else ""
