# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Logs of a run: lines and short tables on the console, all figures in a JSONL file."""

import json
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from mu2slam_hf.training.loss_report import LossTable, format_loss_table, split_losses

_HIDDEN = ("epoch", "total_flos", "train_samples_per_second", "train_steps_per_second")

_FORMATS = {
    "learning_rate": "lr {:.2e}",
    "seconds_per_step": "{:.2f} s/step",
    "speech_seconds_per_second": "{:.1f} s of speech/s",
    "text_tokens_per_second": "{:.0f} tokens/s",
    "data_wait": "waiting {:.1%}",
    "model_flop_utilization": "MFU {:.1%}",
}
# Not shown for a batch of the other kind.
_RATES = ("speech_seconds_per_second", "text_tokens_per_second")


def format_logs(state: TrainerState, logs: dict[str, Any], table: LossTable | None = None) -> str:
    """A line with update, losses, learning rate and remaining time, followed by a table of losses, if any.

    Numbers of failures are shown if they are not 0.

    Args:
        state: state of the trainer.
        logs: figures by name.
        table: layout of the losses that are not in the line.
    """
    losses, rest = split_losses(logs, table)
    parts = [f"{state.global_step:>6}/{state.max_steps}"]
    for name, value in rest.items():
        is_nothing = value == 0 and (isinstance(value, int) or name in _RATES)
        if is_nothing or name in _HIDDEN or name.startswith("grad_norm_"):
            continue
        if name in _FORMATS:
            parts.append(_FORMATS[name].format(value))
        else:
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            parts.append(f"{name.removeprefix('loss_')} {shown}")
    if "seconds_per_step" in logs:
        parts.append(f"left {logs['seconds_per_step'] * (state.max_steps - state.global_step) / 60:.0f} min")
    line = "  ".join(parts)
    return line if table is None or not losses else f"{line}\n{format_loss_table(losses, table)}"


def describe_early_end(args: Any, state: TrainerState) -> str | None:
    """`trained 12 of 30 updates: ...` for a run that its patience has ended; None for one that is complete."""
    if state.global_step >= state.max_steps or args.early_stopping_patience is None:
        return None
    return (
        f"trained {state.global_step:,} of {state.max_steps:,} updates: {args.metric_for_best_model} did not improve "
        f"in {args.early_stopping_patience} evaluations (the best one was at update {state.best_global_step:,})"
    )


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
            tqdm.write(format_logs(state, logs, self.table))

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Close the bar; says if the run ended early."""
        super().on_train_end(args, state, control, **kwargs)
        line = describe_early_end(args, state)
        if state.is_world_process_zero and line is not None:
            tqdm.write(line)


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
            print(format_logs(state, logs, self.table), flush=True)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Says if the run ended early."""
        line = describe_early_end(args, state)
        if state.is_world_process_zero and line is not None:
            print(line, flush=True)


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
    """Evaluates after the last update if the best checkpoint is loaded at the end, so that the last one competes."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Request an evaluation."""
        if args.metric_for_best_model is not None and state.global_step >= state.max_steps:
            control.should_evaluate = True
