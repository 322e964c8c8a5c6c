# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run shows and keeps: a line or a short table per log on the console, all figures in a JSONL file."""

import json
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from mu2slam_hf.training.loss_report import LossTable, format_loss_table, split_losses

_HIDDEN = ("epoch", "total_flos", "train_samples_per_second", "train_steps_per_second")


def format_logs(
    step: int,
    max_steps: int,
    logs: dict[str, Any],
    seconds_left: float | None = None,
    table: LossTable | None = None,
) -> str:
    """One line: update, losses without their prefix, learning rate, time; and a table of losses below it, if any.

    Counts of what went wrong are shown where they are not 0.

    Args:
        step: update.
        max_steps: updates in all.
        logs: figures by name.
        seconds_left: estimate for the rest of the run.
        table: layout of the losses that do not stand in the line.
    """
    losses, rest = split_losses(logs, table)
    parts = [f"{step:>6}/{max_steps}"]
    for name, value in rest.items():
        if name in _HIDDEN or value == 0 and isinstance(value, int):
            continue
        if name == "seconds_per_step":
            parts.append(f"{value:.2f} s/step")
        elif name == "learning_rate":
            parts.append(f"lr {value:.2e}")
        else:
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            parts.append(f"{name.removeprefix('loss_')} {shown}")
    if seconds_left is not None:
        parts.append(f"left {seconds_left / 60:.0f} min")
    line = "  ".join(parts)
    return line if table is None or not losses else f"{line}\n{format_loss_table(losses, table)}"


def format_line(state: TrainerState, logs: dict[str, Any], table: LossTable | None) -> str:
    """The lines of `format_logs` for the state of a run, with the time that is left at its present speed."""
    per_step = logs.get("seconds_per_step")
    left = None if per_step is None else per_step * (state.max_steps - state.global_step)
    return format_logs(state.global_step, state.max_steps, logs, left, table)


class ConsoleTable(ProgressCallback):
    """Progress bars as transformers shows them, but each log as aligned lines.

    Args:
        table: layout of the losses; None for one line.
    """

    def __init__(self, table: LossTable | None = None) -> None:
        super().__init__()
        self.table = table

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Write the lines above the bar."""
        if state.is_world_process_zero and logs:
            tqdm.write(format_line(state, logs, self.table))


class ConsoleLines(PrinterCallback):
    """The same lines without bars, for logs that go to a file.

    Args:
        table: layout of the losses; None for one line.
    """

    def __init__(self, table: LossTable | None = None) -> None:
        self.table = table

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print the lines."""
        if state.is_world_process_zero and logs:
            print(format_line(state, logs, self.table), flush=True)


class LogFile(TrainerCallback):
    """Appends every log to `log.jsonl` in the output folder, so that a run can be followed and plotted."""

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Append one line."""
        if not state.is_world_process_zero or not logs:
            return
        path = Path(args.output_dir or ".") / "log.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, "time": time.time(), **logs}) + "\n")


class EvaluateAtEnd(TrainerCallback):
    """Evaluates after the last update where the best checkpoint is kept, so that the last one is compared too."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for an evaluation."""
        if args.metric_for_best_model is not None and state.global_step >= state.max_steps:
            control.should_evaluate = True
