# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Losses of a batch of speech and text are the sums of the losses of its parts, with the gradient of both."""

import pytest
import torch
from tiny_trainers import collate

from mu2slam_hf.training.objectives.supervised import SupervisedObjective, SupervisedObjectiveConfig


@pytest.fixture
def trainer(make_trainer):
    return make_trainer("supervised", "data.curriculum=[]")


def test_losses_counts_and_gradients_are_those_of_the_parts(trainer):
    model = trainer.model.eval()
    config = SupervisedObjectiveConfig(ctc=0.0, language=0.0, label_smoothing=0.0)
    objective = SupervisedObjective(model, config)
    parts = [collate(trainer, "speech", rows=slice(0, 3)), collate(trainer, "text", rows=slice(0, 2))]
    batch = dict(zip(("speech", "text"), parts, strict=True)) | {"record_ids": ["x"]}

    def total(batch):
        outputs = objective.forward(model, batch, 0)
        return objective.stack(objective.sum(outputs, batch, is_training=True))

    def gradient(loss):
        model.zero_grad()
        loss.sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    whole, split = total(batch), sum(total(part) for part in parts)
    assert (whole[:3] > 0).all() and not whole[3:].any()
    torch.testing.assert_close(whole, split)
    counts = sum(objective.stack(objective.count(part)).float() for part in parts)
    torch.testing.assert_close(objective.stack(objective.count(batch)).float(), counts)
    assert objective.count_operations(batch) == sum(objective.count_operations(part) for part in parts)
    first, second = gradient(whole), gradient(sum(total(part) for part in parts))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-4)


def test_a_batch_may_have_one_part(trainer):
    objective = SupervisedObjective(trainer.model.eval(), SupervisedObjectiveConfig())
    part = collate(trainer, "text", rows=slice(0, 2))
    outputs = objective.forward(trainer.model, {"text": part}, 0)
    sums = objective.sum(outputs, {"text": part}, is_training=False)
    assert sums["mt_decoder"] > 0 and "ctc" not in sums
