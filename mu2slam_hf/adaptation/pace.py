# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speed of a recipe on this machine."""

import contextlib
import copy
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import TrainerCallback, TrainerControl, TrainerState

from mu2slam_hf.adaptation.plan import Pace
from mu2slam_hf.recipes.runs.registry import build_run, load_recipes

# The first updates allocate memory and start the loader.
_WARM_STEPS, _TIMED_STEPS = 2, 4
# A first update in bfloat16 that takes so many times longer than in float32 is the last one.
_SLOW_FACTOR = 2.0


class _StepTimes(TrainerCallback):
    """Times the first update and the last checkpoint; ends a run whose first update is slow.

    Attributes:
        first: seconds of the first update.
        checkpoint: seconds from the last update to the end of training, in which a checkpoint is written.

    Args:
        limit: seconds of the first update that end the run; None: never.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit
        self.first: float | None = None
        self.checkpoint = 0.0
        self._started = self._ended = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether the first update took longer than the limit."""
        return self.limit is not None and self.first is not None and self.first > self.limit

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the time of the first update."""
        self._ended = time.monotonic()
        if self.first is None:
            self.first = self._ended - self._started
            control.should_training_stop = control.should_training_stop or self.is_slow

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the time of the checkpoint."""
        self.checkpoint = time.monotonic() - self._ended


def measure_pace(tree: dict[str, Any]) -> Pace:
    """Train a few updates of a recipe in a temporary folder, evaluate and write a checkpoint once.

    On a CPU they are timed without and with bfloat16, which is faster on some processors and many times slower on
    others: there its first update is the only one.

    Args:
        tree: values of the recipe.
    """
    if torch.cuda.is_available():
        return _measure(tree, torch.cuda.is_bf16_supported(), _StepTimes())
    times = _StepTimes()
    pace = _measure(tree, False, times)
    assert times.first is not None
    trial = _StepTimes(_SLOW_FACTOR * times.first)
    other = _measure(tree, True, trial, evaluation_seconds=pace.evaluation_seconds)
    return pace if trial.is_slow else min(pace, other, key=lambda found: found.seconds_per_step)


def _measure(
    tree: dict[str, Any], bf16: bool, step_times: _StepTimes, *, evaluation_seconds: float | None = None
) -> Pace:
    """The speed in one precision; the evaluation is timed if its time is not given."""
    tree = copy.deepcopy(tree)
    tree.pop("stages", None)
    # Its losses would look like the beginning of the training.
    with tempfile.TemporaryDirectory(prefix="mu2slam-pace-") as folder, contextlib.redirect_stdout(io.StringIO()):
        tree["training"] |= {
            "max_steps": _WARM_STEPS + _TIMED_STEPS,
            "bf16": bf16,
            "logging_steps": 1,
            "eval_steps": 0,
            "save_steps": 1_000_000,
            "average_last": 0,
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
            "report_to": [],
            "disable_tqdm": True,
        }
        tree["output"] = {"dir": folder}
        file = Path(folder) / "recipe.yaml"
        file.write_text(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False), encoding="utf-8")
        (recipe,) = load_recipes(file)
        run = build_run(recipe)
        data = run.load_data()
        processor = run.build_processor(data)
        trainer = run.build_trainer(processor, run.build_model(processor, data), data)
        trainer.add_callback(step_times)
        trainer.train()
        if evaluation_seconds is None:
            started = time.monotonic()
            if recipe.evaluation.corpora:
                trainer.evaluate()
            evaluation_seconds = time.monotonic() - started + step_times.checkpoint
        logs = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        times = [entry["seconds_per_step"] for entry in logs if "seconds_per_step" in entry]
        timed = times[_WARM_STEPS:] or times
        return Pace(seconds_per_step=sum(timed) / len(timed), evaluation_seconds=evaluation_seconds, bf16=bf16)
