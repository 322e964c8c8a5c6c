# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Supervised losses: those of the model's own loss, counts of any split, noise in training only."""

from types import SimpleNamespace

import pytest
import torch
from tiny_models import tiny_model
from tiny_trainers import collate, count

from mu2slam_hf.models.modules_losses import find_alignable
from mu2slam_hf.training.objectives.supervised import SupervisedObjective, SupervisedObjectiveConfig


def random_batch(rows: int) -> dict[str, torch.Tensor]:
    labels = torch.randint(0, 9, (rows, 6))
    labels[torch.rand(rows, 6) < 0.3] = -100
    ctc_labels = torch.randint(1, 9, (rows, 4))
    ctc_labels[:, 3:] = -100
    return {
        "labels": labels,
        "task_ids": torch.where(labels == -100, -1, torch.randint(0, 3, (rows, 6))),
        "ctc_labels": ctc_labels,
        "source_language_labels": torch.randint(-1, 2, (rows,)).where(torch.rand(rows) < 0.8, torch.tensor(-100)),
        # Four feature frames to an encoder frame.
        "attention_mask": (torch.arange(36) < 4 * torch.randint(1, 10, (rows, 1))).long(),
    }


def test_counts_of_parts_add_up_to_the_whole():
    objective, batch = SupervisedObjective(tiny_model()), random_batch(6)
    whole, *parts = (
        objective.stack(objective.count({key: value[rows] for key, value in batch.items()}))
        for rows in (slice(0, 6), slice(0, 2), slice(2, 6))
    )
    torch.testing.assert_close(whole, sum(parts))
    assert whole[:3].sum() == (batch["labels"] != -100).sum()
    alignable = find_alignable(batch["ctc_labels"], batch["attention_mask"].sum(1) // 4)
    assert whole[3] == (batch["ctc_labels"][alignable] != -100).sum() and not alignable.all()
    assert whole[4] == (batch["source_language_labels"] != -100).sum()
    del batch["ctc_labels"]
    assert "ctc" not in objective.count(batch), "a text batch"


@pytest.mark.parametrize("task_ids, sums", [([[0, 0, 1], [2, 2, -1]], [3.0, 4.0, 24.0]), ([1, 0], [24.0, 7.0, 0.0])])
def test_sums_by_task(monkeypatch, task_ids, sums):
    from mu2slam_hf.training.objectives import supervised

    values = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 0.0]])
    monkeypatch.setattr(supervised, "cross_entropy_by_position", lambda *args: values)
    batch = {"labels": torch.zeros(2, 3, dtype=torch.int64), "task_ids": torch.tensor(task_ids)}
    objective = SupervisedObjective(tiny_model())
    found = objective.sum(SimpleNamespace(logits=None), batch, is_training=False)
    assert objective.stack(found).tolist() == [*sums, 0.0, 0.0]


def test_means_are_of_losses_with_targets():
    objective = SupervisedObjective(tiny_model(), SupervisedObjectiveConfig(asr_decoder=0.5, language=0.0))
    sums, counts = torch.tensor([6.0, 0, 0, 8, 0]), torch.tensor([3.0, 0, 0, 4, 0])
    assert objective.describe(sums, counts) == {"loss_asr_decoder": 2.0, "loss_ctc": 2.0}
    assert objective.weigh(sums, counts) == 0.5 * 2 + 2
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got 1.0"):
        SupervisedObjectiveConfig(label_smoothing=1.0)


def test_the_losses_are_those_of_the_models_own_loss(make_trainer):
    trainer = make_trainer("supervised")
    batch, objective = collate(trainer, "speech"), trainer.objective
    with torch.no_grad():
        outputs = objective.forward(trainer.model.eval(), batch, step=0)
        own = trainer.model(**{k: v for k, v in batch.items() if k not in ("task_ids", "record_ids")})
    sums, counts = objective.stack(objective.sum(outputs, batch, is_training=False)), count(trainer, batch)
    decoder = sums[:3].sum() / counts[:3].sum()
    ctc, language = sums[3:] / counts[3:]
    config = trainer.model.config
    expected = decoder + config.ctc_loss_weight * ctc + config.language_loss_weight * language
    assert own.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_switched_off_loss_is_not_computed(make_trainer):
    trainer = make_trainer("supervised", "objective.ctc=0", "objective.language=0")
    batch = collate(trainer, "speech")
    outputs = trainer.objective.forward(trainer.model, batch, step=0)
    sums = trainer.objective.sum(outputs, batch, is_training=True)
    assert set(sums) == {"asr_decoder", "ast_decoder", "mt_decoder"}
    assert trainer.objective.stack(sums)[3:].tolist() == [0.0, 0.0]


def test_noise_is_on_the_decoder_inputs_in_training_only(make_trainer):
    trainer = make_trainer("supervised", "decoder_noise={ratio: 0.5, k: 4}")
    batch = collate(trainer, "speech")
    clean = {name: value.clone() for name, value in batch.items() if isinstance(value, torch.Tensor)}
    seen = []
    handle = trainer.model.model.decoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    for step in (0, 0, 1):
        trainer.state.global_step = step
        trainer.compute_loss(trainer.model.train(), batch)
    trainer.objective.forward(trainer.model.eval(), batch, step=0)
    handle.remove()
    first, again, later, evaluated = seen
    assert torch.equal(first, again) and not torch.equal(first, later)
    assert torch.equal(evaluated, clean["decoder_input_ids"])
    changed = first != evaluated
    text = evaluated >= trainer.model.config.text_token_offset
    assert 0.3 < changed[text].float().mean() < 0.7 and not changed[~text].any()
    assert all(torch.equal(batch[name], value) for name, value in clean.items())
