# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Random order of a table: that of accelerate on any number of processes, however an update is divided."""

from types import SimpleNamespace

import pytest
from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
from resuming import check_resume, take
from torch.utils.data import BatchSampler

from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler

EXAMPLES = [SimpleNamespace(id=f"x{number}") for number in range(11)]


def draw(number: int, batch_size: int = 4, **settings) -> list[list[int]]:
    sampler = ShuffledBatchSampler(EXAMPLES, batch_size, seed=5, **settings)
    return [[key.example for key in batch] for batch in take(sampler, number)]


@pytest.mark.parametrize("num_ranks, batch_size", [(1, 4), (2, 4), (3, 1), (2, 11), (3, 20)])
def test_batches_are_those_of_accelerate(num_ranks, batch_size):
    for rank in range(num_ranks):
        batches = BatchSampler(SeedableRandomSampler(EXAMPLES, data_seed=5), batch_size, drop_last=False)
        if num_ranks > 1:
            batches = BatchSamplerShard(batches, num_ranks, rank)
        expected = [batch for _ in range(3) for batch in batches]
        assert draw(len(expected), batch_size, rank=rank, num_ranks=num_ranks) == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 20])
def test_updates_are_the_same_in_one_and_in_two_micro_batches(batch_size):
    for update, expected in enumerate(draw(20, 2 * batch_size)):
        pair = draw(2 * update + 2, batch_size, batches_per_step=2)[-2:]
        # A single example is repeated: no micro-batch is empty.
        assert all(pair) and sum(pair, [])[: len(expected)] == expected
        assert len(sum(pair, [])) == max(2, len(expected))


def test_positions_may_be_repeated_and_left_out():
    sampler = ShuffledBatchSampler(EXAMPLES, 2, positions=[3, 3, 7], seed=1)
    first, second, third = take(sampler, 3)
    assert sorted(key.example for key in first + second) == [3, 3, 7]
    assert [key.epoch for key in first + second + third] == [0, 0, 0, 1, 1] and third[0].step == 2


def test_it_resumes_and_notices_other_data():
    sampler = ShuffledBatchSampler(EXAMPLES, 4, seed=5)
    check_resume(lambda: ShuffledBatchSampler(EXAMPLES, 4, seed=5), [0, 4], 4)
    for other in (
        ShuffledBatchSampler(EXAMPLES[:-1], 4, seed=5),
        ShuffledBatchSampler(EXAMPLES, 3, seed=5),
        ShuffledBatchSampler(EXAMPLES, 4, seed=6),
    ):
        with pytest.raises(ValueError, match="Cannot resume"):
            other.load_state_dict(sampler.state_dict())
    with pytest.raises(ValueError, match="at least 1 example, got 4 and 0"):
        ShuffledBatchSampler(EXAMPLES, 4, positions=[])
