# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Random order of a table: that of accelerate, however an update is divided."""

from itertools import islice
from types import SimpleNamespace

import pytest
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import BatchSampler

from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler

EXAMPLES = [SimpleNamespace(id=f"x{number}") for number in range(11)]


def draw(number: int, batch_size: int = 4, **settings) -> list[list[int]]:
    sampler = ShuffledBatchSampler(EXAMPLES, batch_size, seed=5, **settings)
    return [[key.example for key in batch] for batch in islice(sampler, number)]


def test_the_order_is_that_of_accelerate():
    order = SeedableRandomSampler(EXAMPLES, data_seed=5)
    expected = [batch for _ in range(3) for batch in BatchSampler(order, 4, drop_last=False)]
    assert draw(9) == expected and [len(batch) for batch in expected[:3]] == [4, 4, 3]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 20])
def test_updates_are_the_same_however_they_are_divided(batch_size):
    one = draw(40, 2 * batch_size)
    for update, expected in enumerate(one[:19]):
        pair = draw(2 * update + 2, batch_size, batches_per_step=2)[-2:]
        ranks = [draw(update + 1, batch_size, rank=rank, num_ranks=2)[-1] for rank in (0, 1)]
        # What is less than one for each is filled up from the beginning of the epoch.
        assert pair == ranks and all(pair) and sum(pair, [])[: len(expected)] == expected
        assert len(sum(pair, [])) == max(2, len(expected))


def test_positions_may_be_repeated_and_left_out():
    sampler = ShuffledBatchSampler(EXAMPLES, 2, positions=[3, 3, 7], seed=1)
    first, second, third = islice(sampler, 3)
    assert sorted(key.example for key in first + second) == [3, 3, 7]
    assert [key.epoch for key in first + second + third] == [0, 0, 0, 1, 1] and third[0].step == 2


def test_it_resumes_and_notices_other_data():
    sampler = ShuffledBatchSampler(EXAMPLES, 4, seed=5)
    list(islice(sampler, 4))
    resumed = ShuffledBatchSampler(EXAMPLES, 4, seed=5)
    resumed.load_state_dict(sampler.state_dict())
    assert next(iter(resumed)) == next(iter(sampler))
    for other in (
        ShuffledBatchSampler(EXAMPLES[:-1], 4, seed=5),
        ShuffledBatchSampler(EXAMPLES, 3, seed=5),
        ShuffledBatchSampler(EXAMPLES, 4, seed=6),
    ):
        with pytest.raises(ValueError, match="Cannot resume"):
            other.load_state_dict(sampler.state_dict())
    with pytest.raises(ValueError, match="at least 1 example, got 4 and 0"):
        ShuffledBatchSampler(EXAMPLES, 4, positions=[])
