# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math

import pytest
import torch
from tiny_models import tiny_config

from mu2slam_hf.models.modules_attention import (
    ConformerSelfAttention,
    eager_attention_forward,
    product_attention_forward,
)
from mu2slam_hf.models.modules_positions import relative_sinusoids
from mu2slam_hf.models.modules_segments import check_packing_backend, same_sequence


def naive_attention(query, key, value, allowed, scaling):
    """Loops over heads and queries; (H, L, E), (H, S, E), (L, S) -> (L, H, E)."""
    heads, length, size = query.shape
    output = torch.zeros(length, heads, size)
    for head in range(heads):
        for position in range(length):
            scores = [
                (query[head, position] @ key[head, other]).item() * scaling if allowed[position, other] else -math.inf
                for other in range(key.shape[1])
            ]
            highest = max(scores)
            weights = [math.exp(score - highest) for score in scores]
            for other, weight in enumerate(weights):
                output[position, head] += weight / sum(weights) * value[head, other]
    return output


def test_eager_attention_equals_loops():
    query, key, value = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4)
    allowed = torch.rand(3, 5) > 0.4
    allowed[:, 0] = True
    mask = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]
    output, weights = eager_attention_forward(torch.nn.Identity().eval(), query, key, value, mask, 0.5)
    expected = naive_attention(query[0], key[0], value[0], allowed, 0.5)
    torch.testing.assert_close(output[0], expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 3))


@pytest.mark.parametrize("kind", ["none", "bool", "added"])
def test_products_equal_eager_attention(kind):
    query, key, value = torch.randn(2, 2, 3, 4), torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    allowed = torch.rand(2, 1, 1, 5) > 0.4
    allowed[..., 0] = True
    added = torch.where(allowed, 0.0, torch.finfo(torch.float32).min) + torch.rand(2, 2, 3, 5)
    lowest = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
    given, expected_mask = {"none": (None, None), "bool": (allowed, lowest), "added": (added, added)}[kind]
    expected, _ = eager_attention_forward(torch.nn.Identity().eval(), query, key, value, expected_mask, 0.5)
    torch.testing.assert_close(product_attention_forward(query, key, value, given, 0.5), expected)


@pytest.mark.parametrize("positions", ["rotary", "relative", "relative_key"])
def test_inference_in_bfloat16_is_near_that_in_float32_and_ignores_padding(positions):
    config = tiny_config(position_embeddings_type=positions).encoder_config
    config._attn_implementation = "sdpa"
    module = ConformerSelfAttention(config, 0).eval()
    states = torch.randn(2, 7, 64)
    angles = torch.randn(1, 1, 7, config.hidden_size // config.num_attention_heads)
    embeddings = {"rotary": (angles.cos(), angles.sin()), "relative": relative_sinusoids(7, 64, states.device)}
    mask = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    mask[1, :, :, 5:] = False
    with torch.no_grad():
        expected = module(states, mask, embeddings.get(positions))[0]
        module.to(torch.bfloat16)
        states = states.to(torch.bfloat16)
        output = module(states, mask, embeddings.get(positions))[0]
        assert module._prefers_products(states)
        torch.testing.assert_close(output.float(), expected, atol=0.05, rtol=0.05)
        states[1, 5:] = 30.0
        changed = module(states, mask, embeddings.get(positions))[0]
    assert torch.equal(changed[1, :5], output[1, :5]) and torch.equal(changed[0], output[0])
    assert not module._prefers_products(states)  # gradients are wanted here


def test_sdpa_equals_eager_forward_and_backward():
    outputs, gradients = [], []
    for backend in ("eager", "sdpa"):
        config = tiny_config().encoder_config
        config._attn_implementation = backend
        torch.manual_seed(1)
        module = ConformerSelfAttention(config, 0)
        states = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(2)).requires_grad_()
        output = module(states)[0]
        output.square().sum().backward()
        outputs.append(output)
        gradients.append(states.grad)
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_padding_sees_padding_only():
    ids = torch.tensor([[1, 1, 2, 0]])
    allowed = same_sequence(ids, ids)
    table = [[bool(allowed(0, 0, query, key)) for key in range(4)] for query in range(4)]
    assert table == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]


def test_packing_is_refused_where_the_backend_takes_no_mask():
    config = tiny_config().encoder_config
    config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="sdpa"):
        check_packing_backend(config)


def relative_module(kind: str) -> tuple[ConformerSelfAttention, torch.Tensor]:
    """A module with random weights everywhere, and states `(1, 5, 64)`."""
    config = tiny_config(
        position_embeddings_type=kind, left_max_position_embeddings=2, right_max_position_embeddings=1
    ).encoder_config
    torch.manual_seed(3)
    module = ConformerSelfAttention(config, 0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return module, torch.randn(1, 5, 64)


@pytest.mark.parametrize("kind", ["relative", "relative_key"])
def test_relative_attention_equals_loops(kind):
    """Transformer-XL: (q + u) k + (q + v) W r(i - j); the table: q (k + a(clip(j - i))), also for values far apart."""
    module, states = relative_module(kind)
    sinusoids = relative_sinusoids(5, 64, states.device)
    query, key, value = (
        project(states[0]).view(5, 4, 16) for project in (module.q_proj, module.k_proj, module.v_proj)
    )
    expected = torch.zeros(5, 4, 16)
    for head in range(4):
        for i in range(5):
            scores = []
            for j in range(5):
                if kind == "relative":
                    angles = (i - j) * 10000.0 ** (-torch.arange(32) / 32)
                    place = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten()
                    place = (module.relative_k_proj.weight @ place).view(4, 16)[head]
                    score = (query[i, head] + module.bias_u[head]) @ key[j, head]
                    score = score + (query[i, head] + module.bias_v[head]) @ place
                else:
                    place = module.distance_embedding.weight[min(max(j - i, -2), 1) + 2]
                    score = query[i, head] @ (key[j, head] + place)
                scores.append(score * 16**-0.5)
            expected[i, head] = torch.softmax(torch.stack(scores), dim=0) @ value[:, head]
    output = module(states, None, sinusoids if kind == "relative" else None)[0]
    torch.testing.assert_close(output[0], module.o_proj(expected.flatten(1)), atol=1e-4, rtol=1e-4)
