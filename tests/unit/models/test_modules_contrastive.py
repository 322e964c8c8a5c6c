# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Contrastive and diversity losses against loops, closed forms, and garbage where nothing is asked."""

import math

import pytest
import torch

from mu2slam_hf.models.modules_losses import contrastive_losses, diversity_loss

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def draw(*shape: int, dtype=torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def naive_contrastive(context, targets, negatives, temperature, negative_mask):
    """One frame, one negative, one dimension at a time."""

    def cosine(a, b):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / (sum(x * x for x in a).sqrt() * sum(y * y for y in b).sqrt())

    losses = []
    for frame in range(len(context)):
        true = (cosine(context[frame], targets[frame]) / temperature).exp()
        total = true
        for number in range(negatives.shape[1]):
            if negative_mask[frame, number]:
                total = total + (cosine(context[frame], negatives[frame, number]) / temperature).exp()
        losses.append(-(true / total).log())
    return torch.stack(losses)


def assert_same_with_gradients(function, reference, tensors, tolerance):
    """Values, and the gradients of a weighted sum."""
    found, expected = function(*tensors), reference(*tensors)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    weights = torch.linspace(0.5, 1.5, found.numel(), dtype=found.dtype).reshape(found.shape)
    gradients = [torch.autograd.grad((value * weights).sum(), tensors) for value in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("num_negatives", [1, 4])
def test_negatives_equal_to_the_target_give_a_logarithm(num_negatives):
    """One distractor that equals the target: log 2."""
    targets = draw(1, 1, 8, seed=1).expand(1, 2, 8)
    frames = torch.tensor([[[1], [0]]]).expand(1, 2, num_negatives)
    losses, asked = contrastive_losses(draw(1, 2, 8), targets, frames)
    assert asked.all()
    torch.testing.assert_close(losses, torch.full_like(losses, math.log(1 + num_negatives)))


def test_length_does_not_count_and_half_precision_is_computed_in_float32():
    context, targets = draw(1, 4, 8), draw(1, 4, 8, seed=1)
    frames = torch.tensor([[[1, 2], [0, 3], [3, 0], [2, 1]]])
    losses, _ = contrastive_losses(context, targets, frames)
    torch.testing.assert_close(contrastive_losses(7 * context, 0.1 * targets, frames)[0], losses)
    half = [tensor.detach().bfloat16() for tensor in (context, targets)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = contrastive_losses(*half, frames)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, contrastive_losses(*(tensor.float() for tensor in half), frames)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_contrastive_equals_a_loop(dtype):
    context, targets = draw(2, 5, 4, dtype=dtype), draw(2, 5, 4, dtype=dtype, seed=1)
    frames = torch.full((2, 5, 3), -1)
    frames[0, 1], frames[0, 3], frames[0, 4] = (
        torch.tensor([3, 4, 3]),
        torch.tensor([1, 4, -1]),
        torch.tensor([1, 1, 3]),
    )
    frames[1, 0], frames[1, 2] = torch.tensor([2, 2, 2]), torch.tensor([0, 0, 0])

    def copied(context, targets):
        rows = []
        for utterance in range(2):
            chosen = targets[utterance][frames[utterance].clamp(min=0)]
            losses = naive_contrastive(context[utterance], targets[utterance], chosen, 0.2, frames[utterance] >= 0)
            rows.append(torch.where((frames[utterance] >= 0).any(-1), losses, 0.0))
        return torch.stack(rows)

    assert_same_with_gradients(
        lambda *t: contrastive_losses(*t, frames, temperature=0.2)[0],
        copied,
        [context, targets],
        TOLERANCES[dtype],
    )
    asked = contrastive_losses(context, targets, frames)[1]
    assert asked.tolist() == [[False, True, False, True, True], [True, False, True, False, False]]


@pytest.mark.parametrize("garbage", [1e30, float("inf"), float("nan")])
def test_frames_that_nobody_asks_for_never_enter(garbage):
    """Frame 2 is a negative only; frames 3 to 5 are padding."""
    frames = torch.full((1, 6, 2), -1)
    frames[0, 0], frames[0, 1] = torch.tensor([1, 2]), torch.tensor([0, 0])
    clean = draw(1, 6, 4).detach(), draw(1, 6, 4, seed=1).detach()
    results = []
    for fill in (0.0, garbage):
        context, targets = (tensor.clone() for tensor in clean)
        context[0, 2:], targets[0, 3:] = fill, fill
        context, targets = context.requires_grad_(), targets.requires_grad_()
        losses, _ = contrastive_losses(context, targets, frames)
        results.append((losses, *torch.autograd.grad(losses.sum(), (context, targets))))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert (results[1][1][0, 2:] == 0).all() and (results[1][2][0, 3:] == 0).all()
    assert (results[1][2][0, 2] != 0).any()


def naive_diversity(probabilities):
    num_frames, num_groups, num_codevectors = probabilities.shape
    perplexities = 0.0
    for group in range(num_groups):
        entropy = 0.0
        for entry in range(num_codevectors):
            mean = sum(probabilities[frame, group, entry] for frame in range(num_frames)) / num_frames
            entropy = entropy - mean * mean.log()
        perplexities = perplexities + entropy.exp()
    return (num_groups * num_codevectors - perplexities) / (num_groups * num_codevectors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_diversity_equals_a_loop(dtype):
    logits = draw(6, 2, 5, dtype=dtype)
    assert_same_with_gradients(
        lambda x: diversity_loss(x.softmax(-1)), lambda x: naive_diversity(x.softmax(-1)), [logits], TOLERANCES[dtype]
    )


@pytest.mark.parametrize(("groups", "entries"), [(1, 8), (2, 4), (16, 3)])
def test_diversity_of_even_use_and_of_a_collapse(groups, entries):
    even = torch.full((7, groups, entries), 1 / entries, dtype=torch.float64)
    assert abs(float(diversity_loss(even))) < 1e-12
    # Every entry by some frame: even use of the batch, although each frame is certain.
    by_frame = torch.eye(entries, dtype=torch.float64).unsqueeze(1).expand(-1, groups, -1)
    assert abs(float(diversity_loss(by_frame))) < 1e-12
    collapsed = torch.zeros(7, groups, entries, dtype=torch.float64)
    collapsed[..., 0] = 1
    collapsed.requires_grad_()
    loss = diversity_loss(collapsed)
    total = groups * entries
    assert float(loss.detach()) == pytest.approx((total - groups) / total, abs=1e-12)
    # The gradient of an entry that nobody can reach is large and finite.
    gradient = torch.autograd.grad(loss, collapsed)[0]
    assert gradient.isfinite().all() and (gradient[..., 1] < gradient[..., 0]).all()


@pytest.mark.parametrize(("groups", "entries"), [(1, 8), (2, 5)])
def test_the_entropy_of_single_frames_separates_uncertain_frames_from_even_use(groups, entries):
    flat = torch.full((entries, groups, entries), 1 / entries, dtype=torch.float64)
    certain = torch.eye(entries, dtype=torch.float64).unsqueeze(1).expand(-1, groups, -1)
    assert float(diversity_loss(flat)) == pytest.approx(float(diversity_loss(certain)), abs=1e-12)
    assert float(diversity_loss(flat, 0.3)) == pytest.approx(0.3)
    assert float(diversity_loss(certain, 0.3)) == pytest.approx(0.0, abs=1e-12)
    logits = draw(6, groups, entries, dtype=torch.float64)

    def naive(x):
        entropies = [-(p * p.log()).sum() for frame in x.softmax(-1) for p in frame]
        return naive_diversity(x.softmax(-1)) + 0.3 * sum(entropies) / len(entropies) / math.log(entries)

    assert_same_with_gradients(
        lambda x: diversity_loss(x.softmax(-1), 0.3), naive, [logits], TOLERANCES[torch.float64]
    )


def test_no_frames_cost_nothing():
    probabilities = torch.zeros(0, 2, 4, requires_grad=True)
    loss = diversity_loss(probabilities)
    loss.backward()
    assert float(loss.detach()) == 0.0 and probabilities.grad.shape == (0, 2, 4)
    empty, _ = contrastive_losses(torch.zeros(0, 3, 4), torch.zeros(0, 3, 4), torch.zeros(0, 3, 2).long())
    assert empty.shape == (0, 3)
