# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf.models.modules_layers import SequenceBatchNorm


def make_pair(width: int = 6) -> tuple[SequenceBatchNorm, torch.nn.BatchNorm1d]:
    """Ours and torch's, with the same random weights and statistics."""
    torch.manual_seed(0)
    ours, theirs = SequenceBatchNorm(width, 1e-5), torch.nn.BatchNorm1d(width)
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(theirs, name).copy_(torch.rand(width) + 0.5)
            getattr(ours, name).copy_(getattr(theirs, name))
    return ours, theirs


@pytest.mark.parametrize("training", [True, False])
def test_it_is_torch_on_the_real_frames(training):
    ours, theirs = make_pair()
    ours.train(training)
    theirs.train(training)
    states = torch.randn(3, 5, 6) * 3 + 1
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
    garbage = states.masked_fill(~mask[..., None], 1e4).requires_grad_()
    real = states[mask].clone().requires_grad_()
    output, expected = ours(garbage, mask)[mask], theirs(real)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    weights = torch.randn_like(expected)
    (output * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(garbage.grad[mask], real.grad, atol=1e-5, rtol=1e-5)
    assert garbage.grad[~mask].abs().sum() == 0
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, atol=1e-5, rtol=1e-5)


def test_without_a_mask_everything_is_real():
    ours, _ = make_pair()
    states = torch.randn(2, 4, 6)
    torch.testing.assert_close(ours(states), ours(states, torch.ones(2, 4, dtype=torch.bool)))


def test_evaluation_does_not_depend_on_the_batch_and_one_frame_is_enough_to_train():
    ours, _ = make_pair()
    before = ours.running_mean.clone()
    states = torch.randn(2, 4, 6)
    ours.eval()
    torch.testing.assert_close(ours(states)[:1], ours(states[:1]))
    assert torch.equal(ours.running_mean, before)
    ours.train()
    assert torch.isfinite(ours(states[:1, :1])).all() and torch.isfinite(ours.running_var).all()


def test_half_precision_keeps_its_dtype():
    ours, _ = make_pair()
    assert ours.to(torch.bfloat16)(torch.randn(1, 4, 6).bfloat16()).dtype == torch.bfloat16


def test_a_frozen_layer_stays_as_it_is():
    ours, _ = make_pair()
    states = (torch.randn(2, 4, 6) * 3 + 1).requires_grad_()
    expected = ours.eval()(states)
    before = {name: buffer.clone() for name, buffer in ours.named_buffers()}
    ours.train().requires_grad_(False)
    output = ours(states)
    assert torch.equal(output, expected)
    assert all(torch.equal(buffer, before[name]) for name, buffer in ours.named_buffers())
    output.sum().backward()
    # What is below it may train all the same.
    assert states.grad.abs().sum() > 0
    ours.requires_grad_(True)(states)
    assert not torch.equal(ours.running_mean, before["running_mean"])
