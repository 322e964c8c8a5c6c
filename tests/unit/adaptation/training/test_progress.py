# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Lines about the progress of training, and its end in time."""

import time
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from mu2slam_hf.adaptation.training.progress import TrainingProgress, format_seconds

ARGS = SimpleNamespace(metric_for_best_model="ctc_cer", early_stopping_patience=5)


def state_at(step: int) -> TrainerState:
    return TrainerState(global_step=step, max_steps=60)


def begin(deadline=None):
    lines = []
    progress = TrainingProgress(lines.append, "training", deadline)
    progress.on_train_begin(ARGS, state_at(0), TrainerControl())
    return progress, lines


def test_an_evaluation_is_a_line_without_names_of_figures():
    progress, lines = begin()
    progress.on_log(ARGS, state_at(20), TrainerControl(), logs={"eval_ctc_cer": 48.81, "eval_loss": 2.0})
    assert lines == ["training     update 20 of 60, 0 s left, development recordings: 48.8 % of the characters wrong"]
    progress.on_log(ARGS, state_at(40), TrainerControl(), logs={"eval_loss": 2.0})
    assert lines[1].endswith("development recordings: loss 2.00")
    progress.on_train_end(ARGS, state_at(60), TrainerControl())
    progress.on_log(ARGS, state_at(60), TrainerControl(), logs={"eval_ctc_cer": 40.0})
    assert lines[2:] == ["training     the chosen weights, development recordings: 40.0 % of the characters wrong"]


def test_other_logs_are_shown_now_and_then(monkeypatch):
    progress, lines = begin()
    progress.on_log(ARGS, state_at(10), TrainerControl(), logs={"loss": 2.0, "grad_norm": 3.0})
    assert lines == []
    later = time.monotonic() + 100
    monkeypatch.setattr(time, "monotonic", lambda: later)
    progress.on_log(ARGS, state_at(10), TrainerControl(), logs={"loss": 2.0, "grad_norm": 3.0})
    assert lines == ["training     update 10 of 60, 8 min left"]


@pytest.mark.parametrize("seconds_left, ends", [(1000.0, False), (-1.0, True), (None, False)])
def test_training_ends_when_its_time_is_over(seconds_left, ends):
    progress, lines = begin(None if seconds_left is None else time.monotonic() + seconds_left)
    control = TrainerControl()
    progress.on_step_end(ARGS, state_at(12), control)
    assert (control.should_training_stop, control.should_evaluate, control.should_save) == (ends, ends, ends)
    if ends:
        progress.on_train_end(ARGS, state_at(12), control)
        assert lines == [
            "training     trained 12 of 60 updates: its time is over, because updates took longer than they did at "
            "the beginning"
        ]


def test_a_run_without_progress_says_why_it_ended():
    progress, lines = begin()
    progress.on_train_end(ARGS, state_at(12), TrainerControl())
    assert lines == [
        "training     trained 12 of 60 updates: the last 5 checks on the development recordings were no better"
    ]


@pytest.mark.parametrize("seconds, text", [(40.4, "40 s"), (89.0, "89 s"), (90.0, "2 min"), (480.0, "8 min")])
def test_times_for_people(seconds, text):
    assert format_seconds(seconds) == text
