# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""End of a run whose development metric no longer improves."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState


def evaluations_without_progress(
    log_history: Sequence[Mapping[str, Any]], metric: str, *, greater_is_better: bool, warmup_steps: int = 0
) -> int:
    """Number of evaluations after the best one and after the warm-up; 0 without evaluations.

    Args:
        log_history: logs of a run, as in `TrainerState`.
        metric: name of the metric in the logs, such as `eval_loss`.
        greater_is_better: whether a larger value is better.
        warmup_steps: evaluations up to this update are not counted: while the learning rate grows, a trained model
            gets worse before it gets better.
    """
    results = [(int(entry["step"]), float(entry[metric])) for entry in log_history if metric in entry]
    values = [value for _, value in results]
    if not values:
        return 0
    best = values.index(max(values) if greater_is_better else min(values))
    return sum(step > warmup_steps for step, _ in results[best + 1 :])


class EarlyStopping(TrainerCallback):
    """Stops a run after `patience` evaluations without an improvement.

    Choice: unlike the callback of transformers it has no state of its own: it counts in the logs that every checkpoint
    has, so that a killed and resumed run stops at the same update.

    Args:
        patience: number of evaluations without an improvement.
        metric: name of the metric in the logs.
        greater_is_better: whether a larger value is better.
        warmup_steps: updates whose evaluations do not count.
    """

    def __init__(self, patience: int, metric: str, *, greater_is_better: bool, warmup_steps: int = 0) -> None:
        self.patience, self.metric, self.greater_is_better = patience, metric, greater_is_better
        self.warmup_steps = warmup_steps

    def should_stop(self, state: TrainerState) -> bool:
        """Whether the logs of a run have enough evaluations without an improvement."""
        results = evaluations_without_progress(
            state.log_history,
            self.metric,
            greater_is_better=self.greater_is_better,
            warmup_steps=self.warmup_steps,
        )
        return results >= self.patience

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Stop, if there was no improvement; the checkpoint of this update is written first."""
        if self.should_stop(state):
            control.should_training_stop = True
            control.should_save = True
