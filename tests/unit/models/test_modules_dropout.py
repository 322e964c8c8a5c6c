# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf.models.modules_layers import apply_dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_of_zeros_and_mean_of_each_quarter(p):
    """Four elements share a random number: each of the four must be dropped with p, independently of its neighbour."""
    torch.manual_seed(0)
    dropped = apply_dropout(torch.ones(400_000), p, True)
    zeros = (dropped == 0).view(-1, 4)
    assert zeros.double().mean(0).sub(p).abs().max() < 0.005
    assert dropped.double().mean().sub(1).abs() < 0.01
    for first in range(4):
        for second in range(first):
            both = (zeros[:, first] & zeros[:, second]).double().mean()
            assert abs(both.item() - p * p) < 0.005
    torch.testing.assert_close(dropped.max().item(), 1 / (1 - p), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 11)])
def test_gradient_is_the_mask(shape, dtype):
    values = torch.randn(shape, dtype=torch.float64).to(dtype).abs().add(0.5).requires_grad_()
    dropped = apply_dropout(values, 0.4, True)
    dropped.sum().backward()
    assert dropped.shape == shape and dropped.dtype == dtype
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())


def test_same_seed_same_mask():
    values = torch.ones(50)
    torch.manual_seed(3)
    first = [apply_dropout(values, 0.5, True) for _ in range(2)]
    torch.manual_seed(3)
    assert torch.equal(apply_dropout(values, 0.5, True), first[0])
    assert not torch.equal(*first)


def test_limits():
    values = torch.randn(9)
    assert apply_dropout(values, 0.5, False) is values
    assert apply_dropout(values, 0.0, True) is values
    assert not apply_dropout(values, 1.0, True).any()
    with pytest.raises(ValueError, match="probability"):
        apply_dropout(values, 1.5, True)
