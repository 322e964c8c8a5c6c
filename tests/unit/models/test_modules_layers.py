# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import speech_batch, tiny_config, tiny_model
from torch import nn

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration
from mu2slam_hf.models import modules_layers
from mu2slam_hf.models.modules_frontends import dummy_speech
from mu2slam_hf.models.modules_layers import linear, linear_without_bias


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
    monkeypatch.setattr(modules_layers, "prefers_onednn", lambda: True)
    return rows


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(16, 24), (2, 9, 24), (2, 3, 5, 24)])
def test_onednn_gives_what_torch_gives(products, bias, shape):
    module = nn.Linear(24, 40, bias=bias)
    states = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(linear(module, states), module(states), atol=1e-5, rtol=1e-5)
        strided = states.transpose(0, -2)
        torch.testing.assert_close(linear(module, strided), module(strided), atol=1e-5, rtol=1e-5)
    assert len(products) == 2


def test_everything_else_is_left_to_torch(products):
    module, states = nn.Linear(8, 4), torch.randn(20, 8)
    linear(module, states).sum().backward()
    assert module.weight.grad is not None
    with torch.no_grad():
        linear(module, states[:3])
        linear(module, states[:0])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert linear(module, states).dtype == torch.bfloat16
        assert linear(module.to(torch.bfloat16), states.to(torch.bfloat16)).dtype == torch.bfloat16
        assert linear(nn.Linear(8, 4, device="meta"), states.to("meta")).shape == (20, 4)
    assert not products


class Doubled(nn.Linear):
    def forward(self, input):
        return 2 * super().forward(input)


def replace_class(module):
    module.__class__ = Doubled


def replace_forward(module):
    module.forward = lambda states: 2 * nn.functional.linear(states, module.weight, module.bias)


def hook_output(module):
    module.register_forward_hook(lambda module, inputs, output: 2 * output)


def hook_input(module):
    module.bias = None
    module.register_forward_pre_hook(lambda module, inputs: 2 * inputs[0])


@pytest.mark.parametrize("change", [replace_class, replace_forward, hook_output, hook_input])
def test_replaced_layers_and_hooks_run(products, change):
    module, states = nn.Linear(8, 4), torch.randn(20, 8)
    with torch.no_grad():
        change(module)
        expected = 2 * nn.functional.linear(states, module.weight, module.bias)
        torch.testing.assert_close(linear(module, states), expected)
    assert not products


def test_hooks_on_all_modules_run(products):
    module, called = nn.Linear(8, 4), []
    with (
        torch.nn.modules.module.register_module_forward_hook(lambda module, *_: called.append(module)),
        torch.no_grad(),
    ):
        linear(module, torch.randn(20, 8))
    assert called == [module] and not products


def test_compiled_models_leave_it_to_the_compiler(products):
    module, states = nn.Linear(8, 4), torch.randn(20, 8)
    compiled = torch.compile(linear, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(module, states), nn.functional.linear(states, module.weight, module.bias))
    assert not products


def test_the_part_without_bias():
    module, states = nn.Linear(8, 4), torch.randn(5, 8)
    expected = states @ module.weight.T
    torch.testing.assert_close(linear_without_bias(module, states), expected)
    module.__class__ = Doubled
    torch.testing.assert_close(linear_without_bias(module, states), 2 * expected)


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


class Packed(nn.Module):
    """What a quantiser puts in the place of a layer; it has no `weight`."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.layers = (layer,)
        self.num_calls = 0

    def forward(self, input):
        self.num_calls += 1
        return self.layers[0](input)


@pytest.mark.parametrize(
    "encoder",
    [
        {"position_embeddings_type": "relative"},
        {"frontend": "stacked_frames"},
        {"frontend": "waveform", "conv_dim": [4], "conv_kernel": [10], "conv_stride": [5]},
        {"hidden_size": 32},
    ],
)
def test_layers_that_quantisers_replace_are_all_used(encoder):
    """Replaced as in transformers: what is exactly `nn.Linear`, except for the heads."""
    torch.manual_seed(0)
    values = tiny_config().to_dict() | {"add_encoder_projection": "hidden_size" in encoder}
    config = Mu2SLAMConfig(**values | {"encoder_config": values["encoder_config"] | encoder})
    model = Mu2SLAMForConditionalGeneration(config).eval()
    speech = {model.main_input_name: dummy_speech(config.encoder_config, torch.device("cpu")).normal_()}
    text = {"input_ids": torch.tensor([[100, 101, 2]]), "decoder_input_ids": torch.tensor([[1, 100]])}

    def compute():
        with torch.no_grad():
            options = {"source_lang": "en", "max_new_tokens": 4, "min_new_tokens": 4}
            ids = [model.generate(**speech, **options, num_beams=n, ctc_weight=0.3) for n in (1, 2)]
            return *ids, model(**text).logits

    expected = compute()
    layers = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for name in layers - {"lm_head", "ctc_head", "language_head"}:
        assert type(model.get_submodule(name)) is nn.Linear, name
        model.set_submodule(name, Packed(model.get_submodule(name)))
    replaced = {name: module for name, module in model.named_modules() if isinstance(module, Packed)}
    assert len(replaced) == len(layers) - 3
    for values, others in zip(compute(), expected, strict=True):
        torch.testing.assert_close(values, others, atol=1e-4, rtol=1e-4)
    assert {name for name, module in replaced.items() if not module.num_calls} == set()
