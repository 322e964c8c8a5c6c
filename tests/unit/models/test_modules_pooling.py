# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import torch

from mu2slam_hf.models.modules_pooling import gather_units, mean_by_sequence, pool_embeddings, pool_ids


def test_units_of_both_pools_mean_the_same():
    """[MASK], then the frames of all utterances, then the text."""
    tokens, speech = torch.arange(4.0)[:, None], 10.0 + torch.arange(6.0).view(2, 3, 1)
    embeddings = pool_embeddings(tokens, speech)
    assert embeddings.flatten().tolist() == [0, 10, 11, 12, 13, 14, 15, 1, 2, 3]
    speech_ids = torch.tensor([[5, 6, 7], [8, -100, -100]])
    ids = pool_ids(4, speech_ids, 64, torch.tensor([0, 1, 90]))
    assert ids.tolist() == [4, 69, 70, 71, 72, 64, 64, 0, 1, 90]
    assert len(ids) == len(embeddings)


def test_the_gradient_of_gathering_is_a_sum():
    pool = torch.randn(5, 3, requires_grad=True)
    units = torch.tensor([[0, 2, 0], [0, 4, 2]])
    gathered = gather_units(pool, units)
    assert torch.equal(gathered, pool[units])
    weights = torch.randn(2, 3, 3)
    (gathered * weights).sum().backward()
    expected = torch.zeros(5, 3)
    for row in range(2):
        for place in range(3):
            expected[units[row, place]] += weights[row, place]
    torch.testing.assert_close(pool.grad, expected)
    assert not pool.grad[[1, 3]].any()


def test_half_precision_speech_joins_the_tokens():
    pool = pool_embeddings(torch.zeros(2, 4), torch.ones(1, 3, 4, dtype=torch.bfloat16))
    assert pool.dtype == torch.float32 and pool.shape == (5, 4)


def test_means_of_packed_sequences():
    states = torch.randn(2, 6, 4, dtype=torch.float64)
    sequence_ids = torch.tensor([[1, 1, 1, 2, 0, 0], [3, 1, 1, 1, 1, 1]])
    means = mean_by_sequence(states, sequence_ids, 4)
    for row in range(2):
        for sequence in range(4):
            inside = [states[row, i] for i in range(6) if sequence_ids[row, i] == sequence]
            expected = sum(inside) / len(inside) if inside else torch.zeros(4, dtype=torch.float64)
            torch.testing.assert_close(means[row, sequence], expected)


def test_means_of_half_precision_are_summed_in_float32():
    states = torch.ones(1, 3000, 1, dtype=torch.bfloat16)
    means = mean_by_sequence(states, torch.ones(1, 3000, dtype=torch.int64), 2)
    assert means.dtype == torch.float32 and means.flatten().tolist() == [0.0, 1.0]
