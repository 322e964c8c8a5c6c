# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Codebook search against a loop, stacking, and the closed forms of the health figures."""

import pytest
import torch
from helpers import run_python

from mu2slam_hf.models import modules_quantization
from mu2slam_hf.models.modules_quantization import (
    RandomProjectionQuantizer,
    center_utterances,
    compute_codebook_health,
    count_codes,
    find_nearest_codes,
    stack_context,
    stack_frames,
)


@pytest.mark.parametrize("chunk_rows", [1, 7, 50, 4096, None])
def test_search_equals_a_loop_over_distances(chunk_rows):
    generator = torch.Generator().manual_seed(0)
    # Entries of different length: a search by cosine alone would be wrong here.
    codebook = torch.randn(33, 5, generator=generator) * torch.rand(33, 1, generator=generator)
    vectors = torch.randn(50, 5, generator=generator)
    naive = [int(torch.stack([(v - c).norm() for c in codebook]).argmin()) for v in vectors]
    assert find_nearest_codes(vectors, codebook, chunk_rows).tolist() == naive


def test_search_of_nothing():
    assert find_nearest_codes(torch.zeros(0, 5), torch.zeros(3, 5)).shape == (0,)


def test_stacking_keeps_the_order_and_fills_with_zeros():
    stacked = stack_frames(torch.arange(1.0, 11.0).reshape(1, 5, 2), 4)
    assert stacked.tolist() == [[[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 0, 0, 0, 0, 0, 0]]]


def test_search_holds_a_bounded_piece_of_the_distance_matrix(monkeypatch):
    rows = []
    product = torch.addmm
    monkeypatch.setattr(modules_quantization, "SEARCH_CHUNK_ENTRIES", 64 * 10)
    monkeypatch.setattr(torch, "addmm", lambda bias, a, b: rows.append(len(a)) or product(bias, a, b))
    find_nearest_codes(torch.randn(35, 4), torch.randn(64, 4))
    assert rows == [10, 10, 10, 5]


def test_search_of_whole_numbers_is_exact():
    """Close to 2048, where bfloat16 and TF32 cannot tell neighbours apart."""
    codebook = torch.tensor([[2048.0, 1.0], [2049.0, 1.0], [2050.0, 1.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert find_nearest_codes(codebook, codebook).tolist() == [0, 1, 2]


def test_tf32_is_off_inside_and_as_before_outside():
    """In a process of its own: torch refuses to mix its two ways of asking for TF32."""
    run_python("""
import torch
from mu2slam_hf.models.modules_quantization import full_float32
product, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
for allow in ("torch.backends.fp32_precision = 'tf32'", "torch.set_float32_matmul_precision('high')"):
    exec(allow)
    before = product.fp32_precision, convolution.fp32_precision
    assert before[0] == "tf32"
    with full_float32(torch.device("cuda")):
        assert (product.fp32_precision, convolution.fp32_precision) == ("ieee", "ieee")
    assert (product.fp32_precision, convolution.fp32_precision) == before
    with full_float32(torch.device("cpu")):
        assert (product.fp32_precision, convolution.fp32_precision) == before
""")


@pytest.mark.parametrize("context", [0, 1, 3])
def test_context_equals_a_loop(context):
    frames = torch.randn(2, 5, 3)
    stacked = stack_context(frames, context)
    assert stacked.shape == (2, 5, 3 * (2 * context + 1))
    for number in range(5):
        parts = [
            frames[:, n] if 0 <= n < 5 else torch.zeros(2, 3) for n in range(number - context, number + context + 1)
        ]
        assert torch.equal(stacked[:, number], torch.cat(parts, dim=-1))


def test_centring_subtracts_the_mean_of_real_frames_whatever_the_padding_holds():
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(length, 3, generator=generator) + 50 for length in (1, 4, 9)]
    batch, mask = torch.full((4, 11, 3), float("nan")), torch.zeros(4, 11, dtype=torch.bool)
    for number, row in enumerate(rows):
        batch[number, : len(row)], mask[number, : len(row)] = row, True
    batch.requires_grad_()
    centred = center_utterances(batch, mask)
    for number, row in enumerate(rows):
        expected = row - torch.stack(list(row)).double().mean(0).float()
        assert torch.equal(centred[number, : len(row)], expected)
    assert (centred[~mask] == 0).all(), "also of a row without frames"
    weights = torch.randn(4, 11, 3, generator=generator)
    gradient = torch.autograd.grad((centred * weights).sum(), batch)[0]
    for number, row in enumerate(rows):
        given = weights[number, : len(row)]
        torch.testing.assert_close(gradient[number, : len(row)], given - given.mean(0))
    assert (gradient[~mask] == 0).all()


def test_random_projection_equals_a_loop():
    quantizer = RandomProjectionQuantizer(12, 20, 4, 2, seed=3)
    x = torch.randn(9, 12, generator=torch.Generator().manual_seed(0))
    ids = quantizer(x)
    for frame in range(9):
        for group in range(2):
            projected = x[frame] @ quantizer.projection[group]
            projected = projected / projected.norm()
            entries = quantizer.codebook[group] / quantizer.codebook[group].norm(dim=-1, keepdim=True)
            assert ids[frame, group] == (entries - projected).norm(dim=-1).argmin()
    # On the unit sphere the length of a frame carries nothing.
    assert torch.equal(quantizer(3.0 * x), ids)


def test_health_of_known_distributions():
    even = compute_codebook_health(count_codes(torch.arange(8).repeat(3), 8))
    assert (even.num_ids, even.num_dead, even.usage) == (24, 0, 1.0)
    assert even.perplexity == pytest.approx(8.0)
    single = compute_codebook_health(count_codes(torch.full((2, 5), 3), 8))
    assert (single.num_ids, single.num_dead, single.usage) == (10, 7, 1 / 8)
    assert single.perplexity == pytest.approx(1.0)
    nothing = compute_codebook_health(count_codes(torch.full((4,), -100), 8))
    assert (nothing.num_ids, nothing.num_dead, nothing.usage, nothing.perplexity) == (0, 8, 0.0, 0.0)


def test_counting_refuses_ids_outside_of_the_codebook():
    with pytest.raises(ValueError, match="out of range for a codebook of 8"):
        count_codes(torch.tensor([8]), 8)
