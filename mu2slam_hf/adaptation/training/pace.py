# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speed of this machine, and how the time of an adaptation is divided."""

import contextlib
import copy
import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from mu2slam_hf.adaptation.training.recipe_runs import build_recipes
from mu2slam_hf.recipes.runs.registry import build_run


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Speed of training on this machine, measured before it starts.

    Attributes:
        seconds_per_step: of one update.
        evaluation_seconds: of one evaluation on the development set, and of the checkpoint that follows it.
        bf16: whether updates were faster with bfloat16, which is then used.
    """

    seconds_per_step: float
    evaluation_seconds: float
    bf16: bool


# Share of the time of training that is kept for loading and for variations in speed.
_RESERVE = 0.04
# Model card, pages, loading and copying of the model.
_CARD_SECONDS = 5.0
# Choice: calibration has at most this share of the time, and at least so many clips.
_CALIBRATION_SHARE = 0.08
_FEWEST_CALIBRATION_CLIPS = 80
MOST_CALIBRATION_CLIPS = 400
"""Number of clips of calibration without a limit of time."""


@dataclass(frozen=True, kw_only=True)
class ClosingPace:
    """Measured costs of what follows training.

    Attributes:
        score_seconds: of the scores on the development recordings.
        clip_seconds: of one clip of calibration.
    """

    score_seconds: float
    clip_seconds: float


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """The time of an adaptation.

    Attributes:
        total_seconds: all of it.
        spent_seconds: what is gone: reading, scores of the start, measuring the speed.
        closing: what follows training.
        pretraining_share: share of the time for updates that pre-training has.
    """

    total_seconds: float
    spent_seconds: float
    closing: ClosingPace
    pretraining_share: float = 0.0

    @property
    def calibration_clips(self) -> int:
        """Number of clips of calibration."""
        wanted = _CALIBRATION_SHARE * self.total_seconds / max(self.closing.clip_seconds, 1e-9)
        return int(min(max(wanted, _FEWEST_CALIBRATION_CLIPS), MOST_CALIBRATION_CLIPS))

    @property
    def closing_seconds(self) -> float:
        """Of everything after training."""
        calibration = self.calibration_clips * self.closing.clip_seconds
        return self.closing.score_seconds + calibration + _CARD_SECONDS

    @property
    def fixed_seconds(self) -> float:
        """Of everything but updates and evaluations."""
        return self.spent_seconds + self.closing_seconds

    @property
    def update_seconds(self) -> float:
        """For pre-training, updates and evaluations."""
        return max(0.0, (self.total_seconds - self.fixed_seconds) * (1 - _RESERVE))

    @property
    def finetuning_seconds(self) -> float:
        """For updates of fine-tuning and evaluations."""
        return self.update_seconds * (1 - self.pretraining_share)

    def total_for(self, finetuning_seconds: float) -> float:
        """Time that leaves so many seconds for updates of fine-tuning and evaluations."""
        return self.fixed_seconds + finetuning_seconds / (1 - _RESERVE) / (1 - self.pretraining_share)


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
    return pace if trial.is_slow else min(pace, other, key=lambda measured: measured.seconds_per_step)


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
        (recipe,) = build_recipes(tree)
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
