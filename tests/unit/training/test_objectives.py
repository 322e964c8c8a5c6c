# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Named losses: closed forms, naive loops, and counts that add up however a batch is split."""

import math

import pytest
import torch

from mu2slam_hf.models.modules_losses import ctc_sum
from mu2slam_hf.training.objectives import (
    LossTable,
    compute_decoder_nll,
    count_targets,
    describe_losses,
    expand_task_ids,
    find_feasible_ctc,
    sum_by_task,
    weigh_losses,
)

TABLE = LossTable.of_tasks(("asr", "ast", "mt"))


def test_uniform_logits_give_log_of_the_vocabulary():
    labels = torch.tensor([[3, 1, -100], [0, -100, -100]])
    nll = compute_decoder_nll(torch.zeros(2, 3, 7), labels)
    torch.testing.assert_close(nll, (labels != -100).float() * math.log(7))
    smoothed = compute_decoder_nll(torch.zeros(2, 3, 7), labels, label_smoothing=0.3)
    torch.testing.assert_close(smoothed, nll)


def test_label_smoothing_equals_a_loop_and_leaves_rows_out():
    logits = torch.randn(2, 5, 6, requires_grad=True)
    labels = torch.randint(0, 6, (2, 5))
    labels[1, 3:] = -100
    rows = torch.tensor([False, True, False, True, True, True])
    nll = compute_decoder_nll(logits, labels, label_smoothing=0.2, smoothing_rows=rows)
    expected = torch.zeros(2, 5)
    for b in range(2):
        for position in range(5):
            if labels[b, position] >= 0:
                log_probs = logits[b, position].log_softmax(-1)
                spread = sum(log_probs[row] for row in range(6) if rows[row]) / 4
                expected[b, position] = -0.8 * log_probs[labels[b, position]] - 0.2 * spread
    torch.testing.assert_close(nll, expected)
    all_rows = compute_decoder_nll(logits, labels, label_smoothing=0.2)
    reference = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), labels, reduction="none", label_smoothing=0.2
    )
    torch.testing.assert_close(all_rows, reference)


def test_sums_by_task():
    values = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 0.0]])
    per_position = expand_task_ids(torch.tensor([[0, 0, 1], [2, 2, -1]]), values)
    assert sum_by_task(values, per_position, 3).tolist() == [3.0, 4.0, 24.0]
    per_row = expand_task_ids(torch.tensor([1, 0]), values)
    assert sum_by_task(values, per_row, 3).tolist() == [24.0, 7.0, 0.0]


@pytest.mark.parametrize(
    "labels, frames, feasible",
    [
        ([1, 2, 3], 3, True),
        ([1, 2, 3], 2, False),
        ([1, 1, 2], 3, False),
        ([1, 1, 2], 4, True),
        ([1, 2, 1], 3, True),
        ([-100, -100, -100], 5, False),
    ],
)
def test_feasible_ctc_agrees_with_the_loss(labels, frames, feasible):
    labels, lengths = torch.tensor([labels]), torch.tensor([frames])
    assert find_feasible_ctc(labels, lengths).tolist() == [feasible]
    mask = torch.arange(6)[None] < lengths[:, None]
    total, count, _ = ctc_sum(torch.randn(1, 6, 5), mask, labels)
    assert bool(count > 0) == feasible == bool(total > 0)


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
    }


def test_counts_of_parts_add_up_to_the_whole():
    batch = random_batch(6)
    lengths = torch.tensor([5, 2, 9, 9, 1, 4])
    whole = count_targets(batch, TABLE, lengths)
    parts = [
        count_targets({k: v[part] for k, v in batch.items()}, TABLE, lengths[part])
        for part in (slice(0, 2), slice(2, 6))
    ]
    torch.testing.assert_close(whole, parts[0] + parts[1])
    assert whole[:3].sum() == (batch["labels"] != -100).sum()
    assert whole[3] == sum(
        (row != -100).sum()
        for row, ok in zip(batch["ctc_labels"], find_feasible_ctc(batch["ctc_labels"], lengths), strict=True)
        if ok
    )
    assert whole[4] == (batch["source_language_labels"] != -100).sum()


def test_a_text_batch_has_no_ctc_targets():
    batch = random_batch(2)
    del batch["ctc_labels"]
    assert count_targets(batch, TABLE, None)[3] == 0


def test_a_loss_without_targets_is_zero_and_not_reported():
    sums, counts = torch.tensor([6.0, 0, 0, 8, 0]), torch.tensor([3.0, 0, 0, 4, 0])
    weights = TABLE.weight_vector({"asr_decoder": 0.5, "language": 0.0})
    assert weigh_losses(sums, counts, weights) == pytest.approx(0.5 * 2 + 2)
    assert describe_losses(TABLE.names, sums, counts) == {"loss_asr_decoder": 2.0, "loss_ctc": 2.0}


def test_unknown_loss_names_are_an_error():
    with pytest.raises(ValueError, match="ctx; known: asr_decoder"):
        TABLE.weight_vector({"ctx": 1.0})
