# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mu2slam_hf.models import modules_layers
from mu2slam_hf.models.modules_layers import int8_linear, linear, quantizes_rows


def round_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """8-bit integers and their scales, row by row, in float64."""
    scales = values.double().abs().amax(1, keepdim=True) / 127.5
    return (values.double() / scales).round().clamp(-128, 127), scales


def make_states(*shape: int) -> torch.Tensor:
    """Random states whose largest magnitude in a row is positive.

    It becomes 127.5, which is rounded to the largest integer in any precision; -127.5 lies between two integers.
    """
    states = torch.randn(shape)
    states[..., 0] = 5.0
    return states


def make_weight(num_outputs: int, num_inputs: int) -> SimpleNamespace:
    """What `int8_linear` reads of a weight."""
    integers, scales = round_rows(torch.randn(num_outputs, num_inputs))
    return SimpleNamespace(qdata=integers.to(torch.int8), scale=scales.float())


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (7, 24), (2, 3, 5, 24)])
def test_products_of_rounded_rows(shape, has_bias):
    weight, states = make_weight(11, 24), make_states(*shape)
    bias = torch.randn(11) if has_bias else None
    integers, scales = round_rows(states.reshape(-1, 24))
    expected = (integers @ weight.qdata.double().T) * scales * weight.scale[:, 0].double()
    expected = (expected + (0 if bias is None else bias)).float().view(*shape[:-1], 11)
    with torch.no_grad():
        torch.testing.assert_close(int8_linear(states, weight, bias), expected, atol=1e-4, rtol=1e-4)
        half = int8_linear(states.bfloat16(), weight, None if bias is None else bias.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, atol=0.3, rtol=0.03)


def test_rows_do_not_depend_on_each_other_or_on_their_memory():
    weight, states = make_weight(16, 40), make_states(9, 40)
    poisoned = states.clone()
    poisoned[5:] = 1e6
    with torch.no_grad():
        rows = int8_linear(states, weight, None)
        assert torch.equal(int8_linear(poisoned, weight, None)[:5], rows[:5])
        assert torch.equal(int8_linear(states[3:4], weight, None), rows[3:4])
        assert torch.equal(int8_linear(states.T.contiguous().T, weight, None), rows)
        assert torch.equal(int8_linear(torch.zeros(2, 40), weight, torch.ones(16)), torch.ones(2, 16))
        assert int8_linear(states[:0], weight, None).shape == (0, 16)


def test_weights_of_other_kinds_are_not_taken():
    assert not quantizes_rows(nn.Linear(4, 4).weight)
    assert not quantizes_rows(SimpleNamespace(act_quant_kwargs=object()))


@pytest.fixture
def products(monkeypatch):
    """Shapes of what is multiplied in 8 bits, on any processor."""
    shapes = []

    def counted(states, weight, bias):
        shapes.append(tuple(states.shape))
        return int8_linear(states, weight, bias)

    monkeypatch.setattr(modules_layers, "int8_linear", counted)
    monkeypatch.setattr(modules_layers, "multiplies_int8", lambda: True)
    return shapes


def quantize(config, num_inputs: int = 32, dtype: torch.dtype = torch.float32) -> nn.Linear:
    from torchao.quantization import quantize_

    module = nn.Linear(num_inputs, 16).to(dtype)
    quantize_(module, config)
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_torchao_computes_the_same(products, dtype):
    quantization = pytest.importorskip("torchao.quantization", reason="extra: quantization")
    module = quantize(quantization.Int8DynamicActivationInt8WeightConfig(), dtype=dtype)
    states = make_states(2, 9, 32).to(dtype)
    with torch.no_grad():
        expected = nn.functional.linear(states, module.weight, module.bias)
        tolerance = 1e-5 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(linear(module, states), expected, atol=tolerance, rtol=tolerance)
    assert products == [(2, 9, 32)]


def test_everything_else_is_left_to_torchao(products):
    quantization = pytest.importorskip("torchao.quantization", reason="extra: quantization")
    dynamic, states = quantization.Int8DynamicActivationInt8WeightConfig, torch.randn(5, 32)
    configs = [
        quantization.Int8WeightOnlyConfig(),
        dynamic(granularity=quantization.PerTensor()),
        dynamic(act_mapping_type=quantization.MappingType.ASYMMETRIC),
        dynamic(reduce_range=True),
    ]
    for config in configs:
        module = quantize(config)
        with torch.no_grad():
            assert torch.equal(linear(module, states), nn.functional.linear(states, module.weight, module.bias))
    linear(quantize(dynamic()), states)  # gradients may be needed
    assert not products
