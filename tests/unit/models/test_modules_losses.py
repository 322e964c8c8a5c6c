# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import itertools
import math

import pytest
import torch

from mu2slam_hf.models.modules_losses import (
    cross_entropy_by_position,
    cross_entropy_mean,
    cross_entropy_of_states,
    cross_entropy_sum,
    ctc_sum,
    find_alignable,
    shift_tokens_right,
    sum_by_kind,
    weighted_mean_sum,
)


def test_uniform_logits_cost_log_vocabulary():
    total, count = cross_entropy_sum(torch.zeros(2, 3, 7), torch.tensor([[1, 2, -100], [3, -100, -100]]))
    assert count.item() == 3
    assert math.isclose(total.item(), 3 * math.log(7), rel_tol=1e-6)


def test_label_smoothing_equals_a_loop_and_leaves_rows_out():
    labels = torch.randint(0, 6, (2, 5))
    labels[1, 3:] = -100
    uniform = cross_entropy_by_position(torch.zeros(2, 5, 6), labels, 0.3)
    torch.testing.assert_close(uniform, (labels != -100).float() * math.log(6))
    logits, rows = torch.randn(2, 5, 6), torch.tensor([False, True, False, True, True, True])
    expected = torch.zeros(2, 5)
    for b, position in (labels >= 0).nonzero().tolist():
        log_probs = logits[b, position].log_softmax(-1)
        expected[b, position] = -0.8 * log_probs[labels[b, position]] - 0.2 * log_probs[rows].mean()
    torch.testing.assert_close(cross_entropy_by_position(logits, labels, 0.2, rows), expected)
    reference = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), labels, reduction="none", label_smoothing=0.2
    )
    torch.testing.assert_close(cross_entropy_by_position(logits, labels, 0.2), reference)


def test_no_target_costs_zero_and_keeps_the_graph():
    logits = torch.zeros(1, 2, 7, requires_grad=True)
    loss = cross_entropy_mean(logits, torch.full((1, 2), -100))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.abs().sum() == 0


def test_cross_entropy_of_states_by_hand():
    head, states = torch.nn.Linear(4, 7), torch.randn(3, 4)
    losses = cross_entropy_of_states(states, torch.tensor([2, -100, 6]), head)
    for place, label in ((0, 2), (2, 6)):
        logits = head(states[place])
        expected = math.log(sum(math.exp(value) for value in logits.tolist())) - logits[label].item()
        assert math.isclose(losses[place].item(), expected, rel_tol=1e-5)
    assert losses[1].item() == 0.0


@pytest.mark.parametrize("max_logits", [1, 7, 14, 27, 28])
def test_chunks_change_neither_losses_nor_gradients(max_logits):
    head, labels = torch.nn.Linear(4, 7), torch.tensor([2, 0, -100, 6])
    results = []
    for options in ({}, {"max_logits": max_logits}):
        states = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
        head.zero_grad()
        losses = cross_entropy_of_states(states, labels, head, **options)
        (losses * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
        results.append((losses.detach(), states.grad, head.weight.grad.clone(), head.bias.grad.clone()))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole)


def test_logits_of_one_chunk_are_kept_at_a_time():
    """What autograd saves for the backward pass does not grow with the number of positions."""
    head, states = torch.nn.Linear(4, 50), torch.randn(64, 4, requires_grad=True)
    labels = torch.arange(64) % 50
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        cross_entropy_of_states(states, labels, head, max_logits=200).sum()
    assert max(saved, default=0) < 50 * 64


def test_sums_by_kind_and_weighted_means():
    sums = sum_by_kind(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 2]), 4)
    assert sums.tolist() == [2.0, 0.0, 5.0, 0.0]
    counts, weights = torch.tensor([4.0, 0.0, 2.0, 0.0]), torch.tensor([2.0, 9.0, 0.1, 9.0])
    assert math.isclose(weighted_mean_sum(sums, counts).item(), 0.5 + 2.5)
    assert math.isclose(weighted_mean_sum(sums, counts, weights).item(), 1.0 + 0.25)


def brute_force_ctc(log_probs, target, blank):
    """Sum over all frame labellings that collapse to the target. log_probs (N, V)."""
    total = -math.inf
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        collapsed = [token for token, _ in itertools.groupby(path) if token != blank]
        if collapsed == target:
            total = torch.logaddexp(
                torch.tensor(total), torch.stack([log_probs[i, token] for i, token in enumerate(path)]).sum()
            ).item()
    return total


@pytest.mark.parametrize("target", [[1], [1, 2], [2, 2], []])
def test_ctc_equals_the_sum_over_all_alignments(target):
    logits = torch.randn(1, 5, 4)
    labels = torch.tensor([[*target, -100, -100]])
    frames = torch.tensor([[True] * 4 + [False]])
    total, count, impossible = ctc_sum(logits, frames, labels)
    assert impossible.item() == 0
    assert count.item() == len(target)
    if target:
        expected = brute_force_ctc(logits[0, :4].log_softmax(-1), target, 0)
        assert math.isclose(total.item(), -expected, rel_tol=1e-5)
    else:
        assert total.item() == 0.0


@pytest.mark.parametrize(
    "labels, frames, alignable",
    [
        ([1, 2, 3], 3, True),
        ([1, 2, 3], 2, False),
        ([1, 1, 2], 3, False),
        ([1, 1, 2], 4, True),
        ([1, 2, 1], 3, True),
        ([-100, -100, -100], 5, False),
    ],
)
def test_what_can_be_aligned_has_a_loss(labels, frames, alignable):
    labels, lengths = torch.tensor([labels]), torch.tensor([frames])
    assert find_alignable(labels, lengths).tolist() == [alignable]
    total, count, _ = ctc_sum(torch.randn(1, 6, 5), torch.arange(6)[None] < lengths[:, None], labels)
    assert bool(count > 0) == alignable == bool(total > 0)


def test_labels_longer_than_frames_are_counted_and_finite():
    logits = torch.randn(2, 3, 4, requires_grad=True)
    labels = torch.tensor([[1, 2, 3, 1], [1, 1, -100, -100]])
    total, count, impossible = ctc_sum(logits, torch.ones(2, 3, dtype=torch.bool), labels)
    assert impossible.item() == 1
    assert count.item() == 2
    total.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().sum() == 0


def test_shifting_starts_with_the_start_token():
    labels = torch.tensor([[5, 6, 2, -100]])
    assert shift_tokens_right(labels, 0, 1).tolist() == [[1, 5, 6, 2]]
