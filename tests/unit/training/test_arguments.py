# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Arguments that cannot work are refused with the way out."""

import pytest

from mu2slam_hf.training.arguments import MultitaskTrainingArguments


def make(tmp_path, **options):
    return MultitaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **{"max_steps": 3, **options})


def test_no_data_is_skipped_by_reading_it(tmp_path):
    assert make(tmp_path).ignore_data_skip


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_steps": -1}, "Set max_steps"),
        ({"schedule": "cosine"}, "known: noam"),
        ({"optimizer": "sgd"}, "known: adamw, adam"),
        ({"label_smoothing_factor": 0.1}, "label smoothing belongs to the objective"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **options)
