# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Maestro on two processes with different data, one of them with none: the losses and weights of one process."""

import json

import torch
from maestro_sharded_worker import build_parts
from sharded_worker import train_alone
from training_runs import run_in_two_processes

from mu2slam_hf import MaestroForPreTraining


def test_losses_and_weights_are_those_of_one_process(tmp_path):
    run_in_two_processes("maestro_sharded_worker.py", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    model, updates = build_parts()
    losses = train_alone(model, updates, torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-3))
    torch.testing.assert_close(torch.tensor(report["losses"]), torch.tensor(losses), rtol=1e-3, atol=1e-4)
    loaded = MaestroForPreTraining.from_pretrained(tmp_path / "checkpoint")
    for (name, expected), actual in zip(model.named_parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-2, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    for name, (whole, part) in report["shapes"].items():
        assert whole[0] == 1 or part[0] < whole[0], name
