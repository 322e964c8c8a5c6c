# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import speech_batch, tiny_model
from torch import nn

from mu2slam_hf.models import modules_linear
from mu2slam_hf.models.modules_linear import Linear


@pytest.fixture
def products(monkeypatch):
    """Numbers of rows that oneDNN multiplied."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch was built without oneDNN")
    rows = []
    product = torch.ops.mkldnn._linear_pointwise

    def counted(states, weight, *arguments):
        rows.append(states.numel() // states.shape[-1])
        return product(states, weight, *arguments)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", counted)
    monkeypatch.setattr(modules_linear, "prefers_onednn", lambda: True)
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(16, 24), (2, 9, 24), (2, 3, 5, 24)])
def test_onednn_gives_what_torch_gives(products, bias, shape):
    module = Linear(24, 40, bias=bias)
    reference = nn.Linear(24, 40, bias=bias)
    reference.load_state_dict(module.state_dict())
    states = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(module(states), reference(states), atol=1e-5, rtol=1e-5)
        strided = states.transpose(0, -2)
        torch.testing.assert_close(module(strided), reference(strided), atol=1e-5, rtol=1e-5)
    assert len(products) == 2


def test_everything_else_is_left_to_torch(products):
    module = Linear(8, 4)
    states = torch.randn(20, 8)
    module(states).sum().backward()
    assert module.weight.grad is not None
    with torch.no_grad():
        module(states[:3])
        module(states[:0])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert module(states).dtype == torch.bfloat16
        assert Linear(8, 4).to(torch.bfloat16)(states.to(torch.bfloat16)).dtype == torch.bfloat16
        assert Linear(8, 4, device="meta")(states.to("meta")).shape == (20, 4)
    assert not products


def test_compiled_models_leave_it_to_the_compiler(products):
    module, states = Linear(8, 4), torch.randn(20, 8)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(states), nn.functional.linear(states, module.weight, module.bias))
    assert not products


def test_models_and_their_adapters_use_it(products):
    model, batch = tiny_model(), speech_batch([80, 60])
    targets = torch.randint(60, 90, (2, 8))
    expected = model(**batch, decoder_input_ids=targets).logits
    with torch.no_grad():
        torch.testing.assert_close(model(**batch, decoder_input_ids=targets).logits, expected, atol=1e-4, rtol=1e-4)
        assert products
        products.clear()
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"])).eval()
        torch.testing.assert_close(adapted(**batch, decoder_input_ids=targets).logits, expected, atol=1e-4, rtol=1e-4)
    assert products
