# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which parameters a loss leaves out."""

import torch
from torch import nn

from mu2slam_hf.training.graph import find_untouched_parameters


def test_finds_exactly_the_parameters_without_a_gradient():
    net = nn.ModuleDict({"used": nn.Linear(3, 3), "unused": nn.Linear(3, 3), "frozen": nn.Linear(3, 3)})
    net["frozen"].requires_grad_(False)
    loss = net["frozen"](net["used"](torch.randn(2, 3))).sum()
    untouched = find_untouched_parameters(loss, net)
    loss.backward()
    missing = [p for p in net.parameters() if p.requires_grad and p.grad is None]
    assert {id(p) for p in untouched} == {id(p) for p in missing} == {id(p) for p in net["unused"].parameters()}


def test_a_loss_without_graph_touches_nothing():
    net = nn.Linear(2, 2)
    assert len(find_untouched_parameters(torch.tensor(1.0), net)) == 2
