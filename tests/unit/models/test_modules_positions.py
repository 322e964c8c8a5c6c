# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math

import torch

from mu2slam_hf.models.modules_positions import (
    add_position_scores,
    align_distances,
    apply_rotary,
    rotary_angles,
    sinusoidal_embedding,
)


def test_sinusoids_are_the_closed_form():
    embedding = sinusoidal_embedding(torch.tensor([[0, 3]]), 8)
    assert embedding[0, 0].tolist() == [0.0] * 4 + [1.0] * 4
    for pair in range(4):
        angle = 3 / 10000 ** (pair / 4)
        assert math.isclose(embedding[0, 1, pair].item(), math.sin(angle), abs_tol=1e-6)
        assert math.isclose(embedding[0, 1, pair + 4].item(), math.cos(angle), abs_tol=1e-6)


def test_rotary_scores_depend_on_the_distance_only():
    query, key = torch.randn(1, 2, 1, 8), torch.randn(1, 2, 1, 8)

    def score(query_position, key_position):
        turned_query = apply_rotary(query, *rotary_angles(torch.tensor([[query_position]]), 8, 10000.0))
        turned_key = apply_rotary(key, *rotary_angles(torch.tensor([[key_position]]), 8, 10000.0))
        return (turned_query * turned_key).sum(-1)

    torch.testing.assert_close(score(3, 1), score(103, 101), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(score(0, 0), (query * key).sum(-1))
    assert not torch.allclose(score(3, 1), score(3, 2))


def test_scores_by_distance_become_scores_by_key():
    for length in (1, 2, 5):
        scores = torch.randn(2, 3, length, 2 * length - 1)
        aligned = align_distances(scores)
        for i in range(length):
            for j in range(length):
                assert torch.equal(aligned[..., i, j], scores[..., i, length - 1 - i + j])


def test_masks_of_every_kind_take_scores():
    scores, allowed = torch.randn(1, 2, 3, 3), torch.tensor([True, True, False]).expand(1, 1, 3, 3)
    added = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
    assert torch.equal(add_position_scores(None, scores), scores)
    expected = scores.softmax(-1) * allowed
    expected = expected / expected.sum(-1, keepdim=True)
    for mask in (allowed, added):
        torch.testing.assert_close(add_position_scores(mask, scores).softmax(-1), expected)
