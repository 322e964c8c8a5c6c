# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The speed is measured in both precisions of a CPU, but not with many slow updates."""

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT

from mu2slam_hf.adaptation.training import pace as pace_module
from mu2slam_hf.adaptation.training.pace import measure_pace
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.training.trainer import MultitaskTrainer

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="precisions are compared on CPUs only")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("MU2SLAM_TINY", str(write_tone_corpus(tmp_path, num_sentences=3).parent))
    file = REPOSITORY_ROOT / "configuration" / "recipes" / "mu2slam" / "finetune_tiny_test.yaml"
    values = yaml.safe_load(file.read_text())
    values["model"]["config"] = str(REPOSITORY_ROOT / values["model"]["config"])
    values["data"]["curriculum"] = []
    return values


@pytest.fixture
def updates(monkeypatch):
    """Whether each update was in bfloat16."""
    made = []
    step = MultitaskTrainer.training_step

    def training_step(self, *args, **kwargs):
        made.append(self.args.bf16)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(MultitaskTrainer, "training_step", training_step)
    return made


def test_the_trial_of_bfloat16_ends_after_one_slow_update(tree, updates, monkeypatch):
    monkeypatch.setattr(pace_module, "_SLOW_FACTOR", 0.0)
    found = measure_pace(tree)
    assert updates == [False] * 6 + [True]
    assert not found.bf16 and found.seconds_per_step > 0 and found.evaluation_seconds > 0


def test_the_faster_precision_is_chosen(tree, updates, monkeypatch, capsys):
    monkeypatch.setattr(pace_module, "_SLOW_FACTOR", 1e9)
    measured = []
    measure = pace_module._measure

    def keep(*args, **kwargs):
        measured.append(measure(*args, **kwargs))
        return measured[-1]

    monkeypatch.setattr(pace_module, "_measure", keep)
    found = measure_pace(tree)
    assert updates == [False] * 6 + [True] * 6
    assert found.seconds_per_step == min(pace.seconds_per_step for pace in measured)
    assert capsys.readouterr().out == ""
