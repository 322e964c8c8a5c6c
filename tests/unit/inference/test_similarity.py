# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pooling that never reads the padding, cosines and hub-corrected scores against plain loops."""

import pytest
import torch

from mu2slam_hf.inference.similarity import (
    cosine_similarities,
    csls_scores,
    neighbour_means,
    pool_states,
    unit_vectors,
)

MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_pooling_is_the_mean_of_the_real_positions_whatever_the_padding_holds(garbage, dtype):
    states = torch.randn(3, 4, 5).to(dtype)
    poisoned = torch.where(MASK[..., None] == 1, states, torch.tensor(garbage).to(dtype))
    pooled = pool_states(poisoned, MASK)
    assert pooled.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for row, length in enumerate(MASK.sum(-1).tolist()):
        torch.testing.assert_close(pooled[row], states[row, :length].to(pooled.dtype).mean(dim=0))


def test_pooling_without_a_mask_and_of_nothing():
    states = torch.randn(2, 3, 4)
    torch.testing.assert_close(pool_states(states, None), states.mean(dim=1))
    assert pool_states(states, torch.zeros(2, 3)).eq(0).all()


def test_half_precision_states_are_summed_in_float32():
    states = torch.ones(1, 4096, 2, dtype=torch.bfloat16)
    torch.testing.assert_close(pool_states(states, torch.ones(1, 4096)), torch.ones(1, 2))


def test_unit_vectors_have_length_one_and_zero_stays_zero():
    vectors = torch.randn(4, 6)
    vectors[2] = 0
    lengths = unit_vectors(vectors).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    tiny, huge = torch.full((1, 3), 1e-30), torch.full((1, 3), 1e15)
    torch.testing.assert_close(unit_vectors(tiny.double()), unit_vectors(huge.double()))
    center = vectors.mean(dim=0)
    torch.testing.assert_close(unit_vectors(vectors, center), unit_vectors(vectors - center))


def test_cosines_against_a_loop_and_their_bounds():
    queries, candidates = torch.randn(3, 5), torch.randn(4, 5)
    scores = cosine_similarities(queries, candidates)
    for i in range(3):
        for j in range(4):
            expected = queries[i] @ candidates[j] / queries[i].norm() / candidates[j].norm()
            torch.testing.assert_close(scores[i, j], expected)
    assert cosine_similarities(queries, 3 * queries).diagonal().max() <= 1.0
    with pytest.raises(ValueError, match="the same width"):
        cosine_similarities(queries, candidates[:, :4])


@pytest.mark.parametrize("neighbours", [1, 2, 50])
def test_neighbour_corrected_scores_against_loops(neighbours):
    similarities = torch.rand(5, 7)
    of_queries = [sum(sorted(row, reverse=True)[:neighbours]) / min(neighbours, 7) for row in similarities.tolist()]
    columns = similarities.T.tolist()
    of_candidates = [sum(sorted(column, reverse=True)[:neighbours]) / min(neighbours, 5) for column in columns]
    found = neighbour_means(similarities, neighbours)
    torch.testing.assert_close(found, (torch.tensor(of_queries), torch.tensor(of_candidates)))
    csls = csls_scores(similarities, neighbours)
    for i in range(5):
        for j in range(7):
            value, near = float(similarities[i, j]), of_queries[i] + of_candidates[j]
            assert csls[i, j] == pytest.approx(2 * value - near, abs=1e-5)
    with pytest.raises(ValueError, match="must be at least 1"):
        neighbour_means(similarities, 0)


def test_csls_takes_what_a_hub_has_in_advance():
    """Candidate 2 is near to every query; the right ones are a little nearer to their own query only."""
    similarities = torch.tensor([[0.8, 0.1, 0.9], [0.1, 0.8, 0.9]])
    assert similarities.argmax(dim=1).tolist() == [2, 2]
    assert csls_scores(similarities, 2).argmax(dim=1).tolist() == [0, 1]
