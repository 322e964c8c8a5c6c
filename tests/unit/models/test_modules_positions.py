# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math

import torch

from mu2slam_hf.models.modules_positions import apply_rotary, rotary_angles, sinusoidal_embedding


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
