# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The progress of an adaptation, in lines for people who do not know the figures of a trainer, and its end in time."""

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

_SECONDS_BETWEEN_LINES = 30.0
_ERRORS = {"eval_ctc_cer": "{:.1f} % of the characters wrong", "eval_loss": "loss {:.2f}"}


class TrainingProgress(TrainerCallback):
    """Prints update, remaining time and the errors on the development recordings; ends a run whose time is over.

    Args:
        say: receives the lines.
        title: name of the phase, the beginning of each line.
        deadline: `time.monotonic()` at which training ends, because updates have become slower than when they were
            measured; None: never.
    """

    def __init__(self, say: Callable[[str], None], title: str, deadline: float | None = None) -> None:
        self.say, self.title, self.deadline = say, title, deadline
        self.is_late = self.is_over = False
        self._started = self._last_line = time.monotonic()
        self._first_step = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Remember where the time of the updates begins."""
        self.is_late = self.is_over = False
        self._started = self._last_line = time.monotonic()
        self._first_step = state.global_step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the run if its time is over; the last update is evaluated and kept, like the last one of every run."""
        if self.deadline is not None and time.monotonic() > self.deadline and state.global_step < state.max_steps:
            self.is_late = True
            control.should_training_stop = True
            control.should_evaluate = args.metric_for_best_model is not None
            control.should_save = True

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        """Print a line at every evaluation, and in between now and then."""
        now = time.monotonic()
        errors = next((text.format(logs[name]) for name, text in _ERRORS.items() if name in (logs or {})), None)
        if not state.is_world_process_zero or (errors is None and now - self._last_line < _SECONDS_BETWEEN_LINES):
            return
        self._last_line = now
        parts = [f"update {state.global_step:,} of {state.max_steps:,}"]
        if self.is_over:
            parts = ["the chosen weights"]
        elif state.global_step > self._first_step:
            pace = (now - self._started) / (state.global_step - self._first_step)
            parts.append(f"{format_seconds(pace * (state.max_steps - state.global_step))} left")
        if errors is not None:
            parts.append(f"development recordings: {errors}")
        self._print(", ".join(parts))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say why a run has ended early."""
        self.is_over = True
        if not state.is_world_process_zero or state.global_step >= state.max_steps:
            return
        why = "its time is over, because updates took longer than they did at the beginning"
        if not self.is_late:
            why = f"the last {args.early_stopping_patience} checks on the development recordings were no better"
        self._print(f"trained {state.global_step:,} of {state.max_steps:,} updates: {why}")

    def _print(self, text: str) -> None:
        self.say(f"{self.title:12} {text}")


def format_seconds(seconds: float) -> str:
    """`40 s` or `12 min`, for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
