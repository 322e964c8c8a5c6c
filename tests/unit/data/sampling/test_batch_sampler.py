# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What all batch samplers share: slots, steps, states and refusals."""

import pytest
from resuming import check_resume, take

from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler


class Counting(ResumableBatchSampler):
    """Slot s of update u holds example 100 u + s."""

    kind = "numbers"
    cursor = ("taken",)

    def __init__(self, data="data", seed=0, **kwargs):
        super().__init__(**kwargs)
        self.data, self.seed, self.taken = data, seed, 0

    def take_batch(self):
        return [DrawKey(self.taken + self.slot)]

    def end_step(self):
        self.taken += 100

    def fingerprint_parts(self):
        return {"examples": self.data, "seed": self.seed}


class PerRank(Counting):
    state_is_per_rank = True


class Other(Counting):
    kind = "letters"


def test_slots_and_steps():
    batches = take(Counting(rank=1, num_ranks=3, batches_per_step=2), 5)
    assert [(key.example, key.step) for (key,) in batches] == [(2, 0), (3, 0), (102, 1), (103, 1), (202, 2)]


def test_a_state_continues_with_the_very_next_batch():
    check_resume(lambda: Counting(batches_per_step=2), range(5), 4)


def test_a_state_of_other_data_is_refused_and_the_difference_named():
    state = Counting().state_dict()
    for other, message in (
        (Counting(data="more"), "Cannot resume: examples differ from those of the checkpoint. Use the same ones"),
        (Counting(data="more", seed=2), r"examples, seed \(0 in the checkpoint, now 2\) differ"),
        (Counting(num_ranks=2), r"in an update \(processes times .*\) \(1 in the checkpoint, now 2\) differ"),
        (Other(), "draws batches from letters, but the checkpoint's were drawn from numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="drawn from something else"):
        Counting().load_state_dict({"num_draws": 0})


def test_another_number_of_processes_with_the_same_product():
    sampler = Counting(batches_per_step=4)
    take(sampler, 4)
    for rank in range(2):
        resumed = Counting(rank=rank, num_ranks=2, batches_per_step=2)
        resumed.load_state_dict(sampler.state_dict())
        assert [key.example for (key,) in take(resumed, 2)] == [100 + 2 * rank, 101 + 2 * rank]
    take(sampler, 1)
    with pytest.raises(ValueError, match="in the middle of an update .* use 4 accumulation steps"):
        Counting(num_ranks=2, batches_per_step=2).load_state_dict(sampler.state_dict())


def test_states_of_single_processes():
    state = PerRank(rank=1, num_ranks=2).state_dict()
    for settings in ({"rank": 0, "num_ranks": 2}, {"rank": 1, "num_ranks": 3}):
        message = f"that of process 1 of 2, but this is {settings['rank']} of {settings['num_ranks']}"
        with pytest.raises(ValueError, match=message):
            PerRank(**settings).load_state_dict(state)
    PerRank(rank=1, num_ranks=2, batches_per_step=2).load_state_dict(state)


def test_faulty_settings():
    for settings, name in (({"rank": 1}, "rank"), ({"batches_per_step": 0}, "batches_per_step")):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            Counting(**settings)
