# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from tiny_models import tiny_config

from mu2slam_hf.models.configuration_conformer import ConformerEncoderConfig
from mu2slam_hf.models.modules_conformer import ConformerConvolution, SequenceGroupNorm, find_gapped_rows


def narrow_config(**changes):
    return ConformerEncoderConfig(hidden_size=8, num_attention_heads=2, conv_norm="layer", **changes)


def naive_depthwise(states, weight, bias, left, right):
    """Every output frame is a sum over taps, written as loops. states (L, D), weight (D, 1, K)."""
    length, width = states.shape
    output = torch.zeros_like(states)
    for position in range(length):
        for channel in range(width):
            total = bias[channel]
            for tap in range(left + right + 1):
                source = position + tap - left
                if 0 <= source < length:
                    total = total + weight[channel, 0, tap] * states[source, channel]
            output[position, channel] = total
    return output


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_both_forms_of_the_depthwise_convolution_equal_loops(causal, length):
    module = ConformerConvolution(narrow_config(conv_causal=causal))
    states = torch.randn(1, length, 8)
    expected = naive_depthwise(
        states[0], module.depthwise_conv.weight, module.depthwise_conv.bias, module.left, module.right
    )
    torch.testing.assert_close(module._convolve_rows(states)[0], expected, atol=1e-5, rtol=1e-5)
    ids = torch.ones(1, length, dtype=torch.int64)
    torch.testing.assert_close(module._convolve_packed(states, ids)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_gapped_rows_give_what_the_taps_give(causal, kernel_size):
    """Sequences of one position, rows with and without padding, one row that is a single sequence."""
    module = ConformerConvolution(narrow_config(conv_causal=causal, conv_depthwise_kernel_size=kernel_size))
    ids = torch.tensor([[1, 2, 2, 3, 3, 3, 4, 0], [1, 1, 2, 3, 4, 5, 5, 5], [1] * 8, [1, 0, 0, 0, 0, 0, 0, 0]])
    first = torch.randn(4, 8, 8).masked_fill((ids == 0)[..., None], 0.0).requires_grad_()
    second = first.detach().clone().requires_grad_()
    gapped = module._convolve_gapped(first, find_gapped_rows(ids, module.reach))
    taps = module._convolve_packed(second, ids)
    torch.testing.assert_close(gapped, taps, atol=1e-6, rtol=1e-5)
    gapped.square().sum().backward()
    taps.square().sum().backward()
    torch.testing.assert_close(first.grad, second.grad, atol=1e-5, rtol=1e-5)


def test_group_norm_equals_torch_on_whole_sequences_and_ignores_padding():
    norm = SequenceGroupNorm(4, 16, 1e-5)
    reference = torch.nn.GroupNorm(4, 16, eps=1e-5)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        reference.weight.copy_(norm.weight)
        reference.bias.copy_(norm.bias)
    states = torch.randn(2, 9, 16)
    expected = reference(states.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(norm(states), expected, atol=1e-5, rtol=1e-5)
    padded = torch.cat([states, torch.full((2, 4, 16), 1e3)], dim=1)
    ids = torch.tensor([[1] * 9 + [0] * 4] * 2)
    torch.testing.assert_close(norm(padded, ids)[:, :9], expected, atol=1e-5, rtol=1e-5)


def test_causal_convolution_sees_no_future():
    module = ConformerConvolution(tiny_config(conv_causal=True).encoder_config).eval()
    states = torch.randn(1, 8, 64)
    changed = states.clone()
    changed[:, 5:] += 1.0
    torch.testing.assert_close(module(states, None, None)[:, :5], module(changed, None, None)[:, :5])
