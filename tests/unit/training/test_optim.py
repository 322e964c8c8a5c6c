# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Schedules against their closed forms, parameter groups against their rule."""

import json
import math

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT
from torch import nn

from mu2slam_hf.recipes.schema.sections import OptimSection
from mu2slam_hf.training.optim import (
    build_optimizer,
    build_parameter_groups,
    build_scheduler,
    compute_noam_rate,
    compute_schedule_multiplier,
)

CONFIGURATION = REPOSITORY_ROOT / "configuration"


def rates(schedule: str, steps: int, peak: float = 1.0, **options) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = build_scheduler(optimizer, schedule=schedule, num_training_steps=steps, **options)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_noam_peaks_of_the_paper():
    peak = compute_noam_rate(40_000, hidden_size=1024, num_warmup_steps=40_000, factor=3.0)
    assert peak == pytest.approx(4.69e-4, rel=2e-3)
    assert compute_noam_rate(16_000, hidden_size=1024, num_warmup_steps=16_000, factor=5.0) == pytest.approx(
        1.24e-3, rel=5e-3
    )


def test_noam_grows_linearly_and_falls_with_the_square_root():
    seen = rates("noam", 400, peak=123.0, num_warmup_steps=100, noam_factor=2.0, hidden_size=64)
    assert seen[49] == pytest.approx(seen[99] / 2)
    assert seen[399] == pytest.approx(seen[99] / 2)
    assert max(seen) == seen[99] == pytest.approx(2.0 / math.sqrt(64 * 100))


def test_warmup_reaches_the_peak_and_cosine_the_floor():
    seen = rates("warmup_cosine", 110, peak=0.5, num_warmup_steps=10, min_ratio=0.1)
    assert seen[:10] == pytest.approx([0.05 * n for n in range(1, 11)])
    assert seen[59] == pytest.approx(0.5 * (0.1 + 0.9 * 0.5))
    assert seen[-1] == pytest.approx(0.05)


def test_linear_constant_and_inverse_square_root():
    assert rates("warmup_linear", 20, num_warmup_steps=10)[14] == pytest.approx(0.5)
    assert rates("warmup_constant", 20, num_warmup_steps=10)[10:] == [1.0] * 10
    assert rates("warmup_inverse_sqrt", 40, num_warmup_steps=10)[39] == pytest.approx(0.5)


PAPER_RUNS = {
    # name: peak, warm-up, and end as a share of the peak, by the papers
    "mu2slam/pretrain_char": (3 / math.sqrt(1024 * 40_000), 40_000, math.sqrt(40 / 1500)),
    "mu2slam/pretrain_char_8gpu": (3 / math.sqrt(1024 * 40_000), 40_000, math.sqrt(40 / 1500)),
    "mu2slam/pretrain_spm": (3 / math.sqrt(1024 * 40_000), 40_000, math.sqrt(40 / 1500)),
    "mslam/pretrain_0_6b": (6e-4, 40_000, math.sqrt(40 / 1300)),
    "mslam/pretrain_2b": (3.6e-4, 40_000, math.sqrt(40 / 350)),
}


@pytest.mark.parametrize("name", PAPER_RUNS)
def test_learning_rates_of_the_papers_runs_from_the_first_update_to_the_last(name):
    """Linear growth, then the inverse square root of the update, for the whole of each run."""
    peak, warmup, end = PAPER_RUNS[name]
    tree = yaml.safe_load((CONFIGURATION / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    model = json.loads((CONFIGURATION.parent / tree["model"]["config"]).read_text(encoding="utf-8"))
    optim = OptimSection(**tree["optim"])
    assert (optim.optimizer, optim.weight_decay) == ("adam", 0), "the papers' Adam has no decay"
    last = tree["training"]["max_steps"]
    scheduler = build_scheduler(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=optim.learning_rate),
        schedule=optim.schedule,
        num_warmup_steps=optim.warmup_steps,
        num_training_steps=last,
        min_ratio=optim.min_learning_rate_ratio,
        noam_factor=optim.noam_factor,
        hidden_size=model["encoder_config"]["hidden_size"],
    )
    initial, rate = scheduler.base_lrs[0], scheduler.lr_lambdas[0]
    base = 1.0 if optim.schedule == "noam" else initial
    for step in (1, 2, 999, warmup // 2, warmup, warmup + 1, 2 * warmup, 4 * warmup, last // 2, last - 1, last):
        expected = peak * min(step / warmup, math.sqrt(warmup / step))
        assert base * rate(step - 1) == pytest.approx(expected, rel=1e-6), step
    assert base * rate(last - 1) == pytest.approx(peak * end, rel=1e-6)


def test_the_schedule_of_the_transformer_has_no_lower_bound():
    settings = {"num_warmup_steps": 40_000, "num_training_steps": 1_300_000, "min_ratio": 0.02}
    last = compute_schedule_multiplier(1_300_000, schedule="warmup_inverse_sqrt", **settings)
    assert last == pytest.approx(math.sqrt(40_000 / 1_300_000), rel=1e-12)
    assert last == pytest.approx(0.1754, abs=1e-4)
    assert rates("warmup_inverse_sqrt", 40, num_warmup_steps=10, min_ratio=0.3)[39] == pytest.approx(0.5)
    assert rates("noam", 400, num_warmup_steps=1, min_ratio=0.9, hidden_size=4)[399] == pytest.approx(0.5 / 20)
    assert compute_schedule_multiplier(1_300_000, schedule="warmup_linear", **settings) == pytest.approx(0.02)


@pytest.mark.parametrize("schedule", ["warmup_cosine", "warmup_linear", "warmup_inverse_sqrt", "warmup_constant"])
def test_no_warmup_starts_at_the_peak(schedule):
    value = compute_schedule_multiplier(1, schedule=schedule, num_warmup_steps=0, num_training_steps=1000)
    assert value == pytest.approx(1.0, abs=2e-3)


def test_wrong_names_are_explained():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match="known: noam"):
        build_scheduler(optimizer, schedule="cosine", num_warmup_steps=1, num_training_steps=2)
    with pytest.raises(ValueError, match="hidden_size"):
        build_scheduler(optimizer, schedule="noam", num_warmup_steps=1, num_training_steps=2)
    with pytest.raises(ValueError, match="count from 1"):
        compute_noam_rate(0, hidden_size=4, num_warmup_steps=1)


def test_only_matrices_are_decayed():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 4)
            self.linear = nn.Linear(4, 5)
            self.linear.weight = self.embedding.weight
            self.norm = nn.LayerNorm(4)
            self.hidden = nn.Linear(4, 4)
            self.frozen = nn.Linear(4, 4)
            self.frozen.requires_grad_(False)

    net = Net()
    decayed, kept = build_parameter_groups(net, 0.1)
    assert decayed["weight_decay"] == 0.1 and kept["weight_decay"] == 0.0
    assert [id(p) for p in decayed["params"]] == [id(net.hidden.weight)]
    assert {id(p) for p in kept["params"]} == {
        id(p) for p in (net.embedding.weight, net.linear.bias, net.norm.weight, net.norm.bias, net.hidden.bias)
    }


def test_the_head_has_a_rate_of_its_own():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.base_model = nn.Linear(3, 3)
            self.head = nn.Linear(3, 2)
            self.tied_head = nn.Linear(3, 3)
            self.tied_head.weight = self.base_model.weight

    net = Net()
    rates = {
        id(parameter): group["lr"]
        for group in build_optimizer(
            net, learning_rate=0.1, weight_decay=0.5, head_learning_rate_ratio=3.0
        ).param_groups
        for parameter in group["params"]
    }
    assert rates[id(net.base_model.weight)] == rates[id(net.base_model.bias)] == 0.1
    for parameter in (net.head.weight, net.head.bias, net.tied_head.bias):
        assert rates[id(parameter)] == pytest.approx(0.3)
    assert len(build_parameter_groups(net, 0.5, 0.1)) == 2


def test_adamw_equals_its_update_rule():
    linear = nn.Linear(2, 2, bias=False)
    before = linear.weight.detach().clone()
    optimizer = build_optimizer(linear, learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.98), eps=1e-9)
    linear.weight.grad = torch.full_like(before, 3.0)
    optimizer.step()
    # The first step of Adam moves by the rate against the sign of the gradient, after the decay.
    torch.testing.assert_close(linear.weight.detach(), before * (1 - 0.1 * 0.5) - 0.1)


def test_adam_decays_nothing():
    linear = nn.Linear(2, 2, bias=False)
    before = linear.weight.detach().clone()
    optimizer = build_optimizer(linear, learning_rate=0.1, weight_decay=0.0, optimizer="adam")
    assert type(optimizer) is torch.optim.Adam
    linear.weight.grad = torch.full_like(before, 3.0)
    optimizer.step()
    torch.testing.assert_close(linear.weight.detach(), before - 0.1)
    with pytest.raises(ValueError, match="Adam does not support weight decay"):
        build_optimizer(linear, learning_rate=0.1, weight_decay=0.1, optimizer="adam")
    with pytest.raises(ValueError, match="'sgd'; known: adamw, adam"):
        build_optimizer(linear, learning_rate=0.1, weight_decay=0.0, optimizer="sgd")


def test_everything_frozen_is_an_error():
    with pytest.raises(ValueError, match="frozen"):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False), learning_rate=0.1, weight_decay=0.0)
