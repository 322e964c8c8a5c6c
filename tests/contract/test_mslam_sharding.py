# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM on two processes with different data, one of them with none: sharded as alone, one set of statistics."""

import json
from pathlib import Path

import pytest
import torch
from mslam_sharded_worker import UPDATES, build_parts
from sharded_worker import train_alone
from training_runs import run_in_two_processes

from mu2slam_hf import MSLAMForPreTraining


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where two processes left their report and their checkpoint."""
    folder = tmp_path_factory.mktemp("sharded")
    run_in_two_processes("mslam_sharded_worker.py", folder)
    return folder


@pytest.fixture(scope="module")
def report(folder) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_losses_and_weights_are_those_of_one_process(folder, report):
    model, updates = build_parts()
    losses = train_alone(model, updates)
    assert len(losses) == len(UPDATES)
    torch.testing.assert_close(torch.tensor(report["losses"]), torch.tensor(losses), rtol=1e-4, atol=1e-5)
    loaded = MSLAMForPreTraining.from_pretrained(folder / "checkpoint")
    for (name, expected), actual in zip(model.named_parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_parameters_are_in_parts(report):
    for name, (whole, part) in report["shapes"].items():
        assert whole[0] == 1 or part[0] < whole[0], name


def test_statistics_of_the_quantiser_are_those_of_all_processes(report):
    first, second = report["statistics"]
    assert first == second
    _, updates = build_parts()
    frames = sum(int(batch["mask_time_indices"].sum()) for pair in updates for batch in pair)
    # 50 frames that every model of these tests has seen before, on either process.
    assert first[0] == 2 * 50 + frames
