# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What an adaptation does, and why: chosen from the data, the start and the time, then kept for resumed runs."""

import bisect
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.adaptation.training.pace import MOST_CALIBRATION_CLIPS, Pace, TimeBudget
from mu2slam_hf.adaptation.training.progress import format_seconds
from mu2slam_hf.adaptation.training.settings import AdaptationSettings, Method
from mu2slam_hf.adaptation.training.start import Start
from mu2slam_hf.atomic_files import write_text

# Choice: without a time, so many passes over the data, within bounds: early stopping ends runs that need fewer.
_PASSES = 40
_MAX_PASSES = 150
_STEP_BOUNDS = (300, 20_000)
# Choice: below the first number of updates a run changes a model without teaching it anything, and is refused.
_FEWEST_STEPS = 60
# Choice: fewer evaluations for short runs, but three, since the result may be the average of three checkpoints.
_NUM_EVALUATIONS, _FEWEST_EVALUATIONS = 12, 3
_STEPS_BETWEEN_EVALUATIONS = 10
# Time of the updates before an evaluation, in times of the evaluation.
_UPDATES_PER_EVALUATION = 5
# Two more evaluations choose between the average and the best checkpoint.
_CHOOSING_EVALUATIONS = 2
_PATIENCE = 5
# Choice: a model that was trained on these recordings before is near its optimum; the usual rate would take it away.
_CONTINUED_RATE = 0.25
_MAX_WARMUP = 300
# Models above this size are trained by adapters or with frozen layers if there are few hours.
_SMALL_MODEL = 50_000_000
_LORA_HOURS = 2.0
_FROZEN_HOURS = 10.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All choices of an adaptation.

    Attributes:
        start: the model.
        method: which weights are trained.
        learning_rate: peak of the learning rate.
        batch_seconds: seconds of speech in one update.
        max_steps: number of updates; 0 until the speed is known.
        eval_steps: updates between two evaluations and checkpoints.
        patience: number of evaluations without an improvement that end the run.
        warmup_steps: updates of linear growth.
        pretraining_steps: number of updates of pre-training before; 0 without.
        calibration_clips: number of clips of calibration.
        closing_seconds: expected time of everything after training.
        replay_weight: passes over the replayed data for each pass over the recordings; 0 without.
        pace: speed; None until it is measured.
        reasons: title -> sentence, for people.
    """

    start: Start
    method: Method
    learning_rate: float
    batch_seconds: float
    max_steps: int = 0
    eval_steps: int = 0
    patience: int = _PATIENCE
    warmup_steps: int = 0
    pretraining_steps: int = 0
    calibration_clips: int = MOST_CALIBRATION_CLIPS
    closing_seconds: float = 0.0
    replay_weight: float = 0.0
    pace: Pace | None = None
    reasons: Mapping[str, str]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """Read a plan that `save` has written."""
        values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        start, pace = values.pop("start"), values.pop("pace")
        start = {name: tuple(value) if isinstance(value, list) else value for name, value in start.items()}
        return cls(**values, start=Start(**start), pace=None if pace is None else Pace(**pace))


def choose_plan(
    settings: AdaptationSettings,
    start: Start,
    *,
    train_hours: float,
    replay_hours: float = 0.0,
    continued: bool = False,
) -> Plan:
    """Choose everything but the number of updates.

    Args:
        settings: what the user has decided.
        start: the model.
        train_hours: hours of the training recordings.
        replay_hours: hours of the replayed data.
        continued: whether the start is a model that was adapted to these recordings before.
    """
    method, why_method = _choose_method(settings, start, train_hours)
    batch_seconds = 30.0 if train_hours < 0.5 else 60.0 if train_hours < 20 else 120.0
    learning_rate = _choose_rate(start, method) * (_CONTINUED_RATE if continued else 1.0)
    weight = 0.0
    reasons = {"start": _describe_start(settings, start), "training": why_method}
    if continued:
        reasons["continued"] = (
            f"{_CONTINUED_RATE:.0%} of the usual learning rate; the result replaces the model only if its scores on "
            "the development recordings are better"
        )
    if settings.replay is not None and replay_hours > 0:
        weight = settings.replay_share / (1 - settings.replay_share) * train_hours / replay_hours
        reasons["replay"] = f"{settings.replay_share:.0%} of the training is {settings.replay}, {replay_hours:.1f} h"
    if settings.mode != "direct":
        reasons["mode"] = {
            "gradual": "gradual: first all data, then the recordings alone",
            "noisy": "noisy: 6 % of the decoder's inputs are replaced by similar tokens",
        }[settings.mode]
    return Plan(
        start=start,
        method=method,
        learning_rate=learning_rate,
        batch_seconds=batch_seconds,
        replay_weight=weight,
        reasons=reasons,
    )


def choose_steps(
    plan: Plan, settings: AdaptationSettings, pace: Pace, *, train_hours: float, budget: TimeBudget | None
) -> Plan:
    """The plan with its number of updates, from the speed and the time that is left.

    Args:
        plan: from `choose_plan`.
        settings: what the user has decided.
        pace: measured speed.
        train_hours: hours of the training recordings.
        budget: the time; None: by the amount of data.

    Raises:
        ValueError: the time is too short for any training; the message says what would be enough.
    """
    own_share = 1.0 - (settings.replay_share if plan.replay_weight else 0.0)
    steps_per_pass = max(train_hours * 3600 / plan.batch_seconds / own_share, 1e-9)
    usual, longest = _STEP_BOUNDS
    reasons = dict(plan.reasons)
    if settings.max_steps is not None:
        steps, why = settings.max_steps, "as asked for"
    elif budget is None:
        steps = min(max(math.ceil(_PASSES * steps_per_pass), usual), longest)
        why = f"{_PASSES} passes over the recordings, at least {usual:,} and at most {longest:,} updates"
    else:
        fitting = _fitting_steps(budget.finetuning_seconds, pace)
        if fitting < _FEWEST_STEPS:
            raise ValueError(_describe_too_short(plan, pace, budget, fitting))
        steps = min(fitting, max(math.ceil(_MAX_PASSES * steps_per_pass), usual))
        why = "as many as the time allows" if steps == fitting else f"{_MAX_PASSES} passes; more would not help"
        if steps < usual:
            reasons["few updates"] = (
                f"{steps:,} updates give a first impression; a training has {usual:,} or more, for which the time "
                f"would be {_needed_time(usual, pace, budget)}"
            )
    eval_steps = math.ceil(steps / _num_evaluations(steps, pace))
    sizes = f"{steps:,} of {plan.batch_seconds:.0f} s of speech, {steps / steps_per_pass:.0f} passes"
    precision = "bfloat16" if pace.bf16 else "float32"
    duration = format_seconds(_seconds_for(steps, pace))
    reasons["updates"] = f"{sizes}: {why}; about {duration} at {pace.seconds_per_step:.2f} s each in {precision}"
    reasons["development"] = (
        f"every {eval_steps:,} updates; the run ends after {plan.patience} evaluations without an improvement, and "
        "the result is the best checkpoint or the average of the last three"
    )
    if budget is not None:
        plan = replace(plan, calibration_clips=budget.calibration_clips, closing_seconds=budget.closing_seconds)
        reasons["afterwards"] = (
            f"scores, and calibration with {plan.calibration_clips} recordings and sounds: about "
            f"{format_seconds(plan.closing_seconds)}"
        )
    return replace(
        plan,
        max_steps=steps,
        eval_steps=eval_steps,
        warmup_steps=min(_MAX_WARMUP, max(1, steps // 10)),
        pace=pace,
        reasons=reasons,
    )


def _num_evaluations(steps: int, pace: Pace) -> int:
    interval = max(
        _STEPS_BETWEEN_EVALUATIONS, _UPDATES_PER_EVALUATION * pace.evaluation_seconds / pace.seconds_per_step
    )
    return max(1, min(max(int(steps / interval), _FEWEST_EVALUATIONS), _NUM_EVALUATIONS, steps))


def _seconds_for(steps: int, pace: Pace) -> float:
    evaluations = _num_evaluations(steps, pace) + _CHOOSING_EVALUATIONS
    return steps * pace.seconds_per_step + evaluations * pace.evaluation_seconds


def _fitting_steps(seconds: float, pace: Pace) -> int:
    """The largest number of updates that, with their evaluations, take no longer; 0 if not even one does."""
    most = range(1, int(seconds / pace.seconds_per_step) + 1)
    return bisect.bisect_right(most, seconds, key=lambda steps: _seconds_for(steps, pace))


def _needed_time(steps: int, pace: Pace, budget: TimeBudget) -> str:
    return f"{math.ceil(budget.total_for(_seconds_for(steps, pace)) / 60):,} min"


def _describe_too_short(plan: Plan, pace: Pace, budget: TimeBudget, fitting: int) -> str:
    return (
        f"--time {format_seconds(budget.total_seconds)} is too short: reading, measuring the speed, scores and "
        f"calibration take {format_seconds(budget.fixed_seconds)} of it, which leaves {fitting:,} updates of "
        f"{plan.batch_seconds:.0f} s of speech at {pace.seconds_per_step:.1f} s each, and fewer than {_FEWEST_STEPS} "
        f"are no training; give at least {_needed_time(_FEWEST_STEPS, pace, budget)}"
    )


def _choose_method(settings: AdaptationSettings, start: Start, hours: float) -> tuple[Method, str]:
    size = f"{start.num_parameters / 1e6:.0f} M parameters"
    if settings.method == "lora" and start.kind != "checkpoint":
        raise ValueError(
            "low-rank adapters belong to a trained checkpoint of this package; give one as the start, or use the "
            "method full or frozen"
        )
    if settings.method != "auto":
        return settings.method, f"{_METHOD_NAMES[settings.method]}, as asked for ({size})"
    if start.kind == "new":
        return "full", f"all weights, because all are new ({size})"
    if start.num_parameters < _SMALL_MODEL:
        return "full", f"all weights, because the model is small ({size})"
    may_adapt = start.kind == "checkpoint" and not start.growing_languages and settings.pretrain is None
    if may_adapt and hours < _LORA_HOURS:
        return "lora", f"low-rank adapters, because the model is large ({size}) for {hours:.1f} h"
    if hours < _FROZEN_HOURS:
        return "frozen", f"{_METHOD_NAMES['frozen']}, because the model is large ({size}) for {hours:.1f} h"
    return "full", f"all weights, because there are {hours:.0f} h ({size})"


_METHOD_NAMES = {
    "full": "all weights",
    "frozen": "all but the lower half of the encoder",
    "lora": "low-rank adapters",
}


def _choose_rate(start: Start, method: Method) -> float:
    """Choice: adapters want a high rate; large trained models want a low one."""
    if method == "lora":
        return 1e-3
    if start.num_parameters < _SMALL_MODEL:
        return 1.5e-3 if start.kind == "new" else 8e-4
    return 1e-4


def _describe_start(settings: AdaptationSettings, start: Start) -> str:
    if start.kind == "new":
        return "a small model with new weights, as asked for"
    if start.kind == "encoder":
        return f"the speech encoder {start.name}, with a new decoder and a tokenizer of your characters"
    parts = [f"the checkpoint {start.name}"]
    if start.new_languages:
        related = ", ".join(settings.like) or "the mean of its languages"
        parts.append(f"to which {', '.join(start.new_languages)} is added, starting from {related}")
    elif start.growing_languages:
        parts.append(f"to which new characters of {', '.join(start.growing_languages)} are added")
    else:
        parts.append("which knows all languages and characters of the data")
    return ", ".join(parts)
