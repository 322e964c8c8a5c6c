# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The losses of pre-training as a short table for the console: so many figures do not fit into a line."""

from collections.abc import Mapping
from typing import Any

from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modeling_mu2slam_pretraining import PRETRAINING_LOSSES
from mu2slam_hf.models.task_types import PRETRAINING_VIEWS

_WIDTH = 7
_ONLY_MSLAM = frozenset(MSLAM_LOSSES) - frozenset(PRETRAINING_LOSSES)
_COLUMNS = {view: view.replace("_backward", "<").replace("_alignment", "=") for view in PRETRAINING_VIEWS}


def split_losses(logs: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Named losses of pre-training without what stands before their names, and all other figures.

    Numbers of targets (`count_...`) are for the log file: they are in neither.

    Args:
        logs: of the trainer; names may have a prefix (`eval_`, `eval_<development set>_`).

    Returns:
        The losses are empty where `logs` has none of masked prediction, as in supervised training.
    """
    known = MSLAM_LOSSES if _is_of_mslam(logs) else PRETRAINING_LOSSES
    losses: dict[str, float] = {}
    rest: dict[str, Any] = {}
    for name, value in logs.items():
        prefix, mark, loss = name.rpartition("loss_")
        if mark and loss in known:
            losses[loss] = value
        elif not name.startswith("count_") and not prefix.endswith("count_"):
            rest[name] = value
    if known is PRETRAINING_LOSSES and not any(name.endswith("_mlm") for name in losses):
        return {}, {name: value for name, value in logs.items() if not name.startswith("count_")}
    return losses, rest


def _is_of_mslam(logs: Mapping[str, Any]) -> bool:
    """Whether logs are of mSLAM: they have a loss, or a number of its targets, that Mu2SLAM has not."""
    names = (name.rpartition(mark) for name in logs for mark in ("loss_", "count_"))
    return any(mark and loss in _ONLY_MSLAM for _, mark, loss in names)


def format_loss_table(losses: Mapping[str, float]) -> str:
    """Two rows, decoder and encoder (mlm), one column per view that has a loss; `<` is backward, `=` alignment.

    Those of mSLAM are one row, a column for each.

    Args:
        losses: by name; those that are not there are shown as `-`.
    """
    if not losses.keys() <= set(PRETRAINING_LOSSES):
        names = "".join(f"{name:>13}" for name in MSLAM_LOSSES)
        return f"{names}\n" + "".join(_cell(losses.get(name), 13) for name in MSLAM_LOSSES)
    shown = [view for view in PRETRAINING_VIEWS if f"{view}_decoder" in losses or f"{view}_mlm" in losses]
    heads = [*losses.keys() & {"ctc", "language"}]
    heads.sort()
    lines = ["".join([" " * 9, *(f"{_COLUMNS[view]:>{_WIDTH}}" for view in shown), *(f"{h:>10}" for h in heads)])]
    for part in ("decoder", "mlm"):
        cells = [_cell(losses.get(f"{view}_{part}"), _WIDTH) for view in shown]
        if part == "decoder":
            cells += [_cell(losses[head], 10) for head in heads]
        lines.append("".join([f"  {part:<7}", *cells]))
    return "\n".join(lines)


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>{width}}"
