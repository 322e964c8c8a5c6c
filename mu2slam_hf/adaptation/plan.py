# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What an adaptation does, and why: chosen from the data, the start and the time, then kept for resumed runs."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mu2slam_hf.adaptation.settings import AdaptationSettings, Method
from mu2slam_hf.atomic_files import atomic_path

StartKind = Literal["checkpoint", "encoder", "new"]

# Choice: without a time, so many passes over the data, within bounds: early stopping ends runs that need fewer.
_PASSES = 40
_MAX_PASSES = 150
_STEP_BOUNDS = (300, 20_000)
_NUM_EVALUATIONS = 12
_PATIENCE = 5
_MAX_WARMUP = 300
# Models above this size are trained by adapters or with frozen layers if there are few hours.
_SMALL_MODEL = 50_000_000
_LORA_HOURS = 2.0
_FROZEN_HOURS = 10.0
# Share of the time that is kept for loading, checkpoints and variations in speed.
_RESERVE = 0.08


@dataclass(frozen=True, kw_only=True)
class Start:
    """The model that an adaptation starts from.

    Attributes:
        kind: a trained checkpoint of this package, a public speech encoder, or new weights.
        name: as given by the user.
        folder: folder or name on the Hub; None for new weights.
        num_parameters: number of parameters of the model to train.
        new_languages: languages that are added to the checkpoint.
        growing_languages: languages that are new, or written with characters that the checkpoint does not have.
    """

    kind: StartKind
    name: str
    folder: str | None
    num_parameters: int
    new_languages: tuple[str, ...] = ()
    growing_languages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Speed of training on this machine, measured before it starts.

    Attributes:
        seconds_per_step: of one update.
        evaluation_seconds: of one evaluation on the development set.
        bf16: whether updates were faster with bfloat16, which is then used.
    """

    seconds_per_step: float
    evaluation_seconds: float
    bf16: bool


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
    replay_weight: float = 0.0
    pace: Pace | None = None
    reasons: Mapping[str, str]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan as JSON."""
        with atomic_path(path) as temporary:
            Path(temporary).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Plan":
        """Read a plan that `save` has written."""
        values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        start, pace = values.pop("start"), values.pop("pace")
        start_values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in start.items()}
        return cls(
            **values,
            start=Start(**start_values),
            pace=None if pace is None else Pace(**pace),
        )


def choose_plan(settings: AdaptationSettings, start: Start, *, train_hours: float, replay_hours: float = 0.0) -> Plan:
    """Choose everything but the number of updates.

    Args:
        settings: what the user has decided.
        start: the model.
        train_hours: hours of the training recordings.
        replay_hours: hours of the replayed data.
    """
    method, why_method = _choose_method(settings, start, train_hours)
    batch_seconds = 30.0 if train_hours < 0.5 else 60.0 if train_hours < 20 else 120.0
    learning_rate = _choose_rate(start, method)
    weight = 0.0
    reasons = {"start": _describe_start(settings, start), "training": why_method}
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
    plan: Plan, settings: AdaptationSettings, pace: Pace, *, train_hours: float, seconds_left: float | None
) -> Plan:
    """The plan with its number of updates, from the speed and the time that is left.

    Args:
        plan: from `choose_plan`.
        settings: what the user has decided.
        pace: measured speed.
        train_hours: hours of the training recordings.
        seconds_left: time for training and evaluations; None: by the amount of data.
    """
    own_share = 1.0 - (settings.replay_share if plan.replay_weight else 0.0)
    steps_per_pass = max(train_hours * 3600 / plan.batch_seconds / own_share, 1e-9)
    shortest, longest = _STEP_BOUNDS
    if settings.max_steps is not None:
        steps, why = settings.max_steps, "as asked for"
    elif seconds_left is None:
        steps = min(max(math.ceil(_PASSES * steps_per_pass), shortest), longest)
        why = f"{_PASSES} passes over the recordings, at least {shortest:,} and at most {longest:,} updates"
    else:
        usable = (1 - _RESERVE) * seconds_left - (_NUM_EVALUATIONS + 2) * pace.evaluation_seconds
        fitting = max(int(usable / pace.seconds_per_step), 1)
        most = max(math.ceil(_MAX_PASSES * steps_per_pass), shortest)
        steps = min(fitting, most)
        why = "as many as the time allows" if steps == fitting else f"{_MAX_PASSES} passes; more would not help"
    eval_steps = max(1, steps // _NUM_EVALUATIONS)
    minutes = (steps * pace.seconds_per_step + _NUM_EVALUATIONS * pace.evaluation_seconds) / 60
    sizes = f"{steps:,} of {plan.batch_seconds:.0f} s of speech, {steps / steps_per_pass:.0f} passes"
    precision = "bfloat16" if pace.bf16 else "float32"
    return replace(
        plan,
        max_steps=steps,
        eval_steps=eval_steps,
        warmup_steps=min(_MAX_WARMUP, max(1, steps // 10)),
        pace=pace,
        reasons={
            **plan.reasons,
            "updates": f"{sizes}: {why}; about {minutes:.0f} min at {pace.seconds_per_step:.2f} s each in {precision}",
            "development": f"every {eval_steps:,} updates; the run ends after {plan.patience} evaluations without an "
            "improvement, and the result is the best checkpoint or the average of the last three",
        },
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
