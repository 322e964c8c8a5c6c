# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Runs end when the development metric no longer improves, and a resumed run ends at the same update."""

import pytest

from mu2slam_hf.training.checkpoints import list_checkpoints
from mu2slam_hf.training.early_stopping import evaluations_without_progress

# Updates with a huge rate make the model worse and worse: the first evaluation stays the best.
SETTINGS = (
    "training={load_best_model_at_end: true, metric_for_best_model: loss, max_steps: 20, eval_steps: 2, "
    "save_steps: 2, save_total_limit: 20, early_stopping_patience: 3, disable_tqdm: true, report_to: [], "
    "use_cpu: true}",
    "optim={learning_rate: 3.0, warmup_steps: 0, schedule: warmup_constant}",
    "data.curriculum=[]",
)


@pytest.mark.parametrize(
    "values, greater, expected",
    [([], False, 0), ([3.0], False, 0), ([3, 2, 4, 5], False, 2), ([3, 2, 4, 5], True, 0), ([2, 2, 2], False, 2)],
)
def test_evaluations_after_the_best_one(values, greater, expected):
    logs = [{"step": 1, "loss": 9.0}, *({"step": 2 + n, "eval_loss": value} for n, value in enumerate(values))]
    assert evaluations_without_progress(logs, "eval_loss", greater_is_better=greater) == expected


def test_evaluations_during_the_warm_up_are_not_counted():
    """They may be the best ones, but a rate that still grows says nothing about what follows."""
    errors = {2: 48.8, 4: 48.9, 6: 52.2, 8: 54.7, 10: 49.6, 12: 49.7}
    logs = [{"step": step, "eval_cer": error} for step, error in errors.items()]
    for warmup_steps, counted in ((0, 5), (3, 5), (6, 3), (12, 0)):
        assert counted == evaluations_without_progress(
            logs, "eval_cer", greater_is_better=False, warmup_steps=warmup_steps
        )


def test_a_run_in_its_warm_up_is_not_ended(make_trainer):
    constant = "optim={learning_rate: 3.0, warmup_steps: 40, schedule: warmup_constant}"
    trainer = make_trainer("supervised", SETTINGS[0], constant, SETTINGS[2])
    trainer.train()
    losses = [logs["eval_loss"] for logs in trainer.state.log_history if "eval_loss" in logs]
    assert len(losses) - 1 - losses.index(min(losses)) >= 3, "without the warm-up the run would have ended"
    assert trainer.state.global_step == 20


def test_a_run_that_ends_early_says_so(make_trainer, capsys):
    trainer = make_trainer("supervised", *SETTINGS)
    trainer.train()
    end, best = trainer.state.global_step, trainer.state.best_global_step
    line = f"trained {end} of 20 updates: loss did not improve in 3 evaluations (the best one was at update {best})"
    assert line in capsys.readouterr().out.splitlines()


def test_a_run_ends_after_its_patience_and_a_resumed_one_at_the_same_update(make_trainer):
    whole = make_trainer("supervised", *SETTINGS)
    whole.train()
    losses = [logs["eval_loss"] for logs in whole.state.log_history if "eval_loss" in logs]
    best = losses.index(min(losses))
    assert len(losses) == best + 4 < 10, "three evaluations follow the best one"
    end = 2 * len(losses)
    assert whole.state.global_step == end
    checkpoints = list_checkpoints(whole.args.output_dir)
    assert checkpoints[-1].name == f"checkpoint-{end}"

    for checkpoint in (checkpoints[-1], checkpoints[-2]):
        resumed = make_trainer("supervised", *SETTINGS)
        resumed.train(resume_from_checkpoint=str(checkpoint))
        assert resumed.state.global_step == end
        assert resumed.state.best_global_step == whole.state.best_global_step == 2 * (best + 1)
