# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Arguments that cannot work are refused with the way out."""

import pytest

from mu2slam_hf.training.arguments import MultitaskTrainingArguments


def make(tmp_path, **options):
    return MultitaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **{"max_steps": 3, **options})


def test_defaults_that_exact_resume_and_several_processes_need(tmp_path):
    args = make(tmp_path, loss_weights={"ctc": 0.5})
    assert args.ignore_data_skip and args.ddp_find_unused_parameters is False
    assert args.to_dict()["loss_weights"] == {"ctc": 0.5}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_steps": -1}, "Set max_steps"),
        ({"schedule": "cosine"}, "known: noam"),
        ({"label_smoothing": 1.0}, "in \\[0, 1\\)"),
        ({"label_smoothing_factor": 0.1}, "Use label_smoothing"),
        ({"average_last": 5, "save_total_limit": 2}, "raise save_total_limit"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **options)
