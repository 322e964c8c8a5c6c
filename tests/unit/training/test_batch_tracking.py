# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The state of a checkpoint is that of the last batch trained on, not of the last batch fetched."""

from itertools import islice

import pytest

from mu2slam_hf.training.batch_tracking import TrackedBatchSampler


class Counting:
    """Yields [0], [1], ... for ever."""

    def __init__(self):
        self.next = 0

    def __iter__(self):
        while True:
            self.next += 1
            yield [self.next - 1]

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]


def test_prefetched_batches_do_not_count():
    tracked = TrackedBatchSampler(Counting())
    assert list(islice(tracked, 5)) == [[0], [1], [2], [3], [4]]
    assert tracked.state_dict() == {"next": 0}
    tracked.mark_consumed(2)
    assert tracked.state_dict() == {"next": 2}
    resumed = TrackedBatchSampler(Counting())
    resumed.load_state_dict(tracked.state_dict())
    assert next(iter(resumed)) == [2]


def test_consuming_more_than_was_handed_out_is_noticed():
    tracked = TrackedBatchSampler(Counting())
    with pytest.raises(RuntimeError, match="More batches"):
        tracked.mark_consumed(1)


def test_it_has_no_length():
    assert not hasattr(TrackedBatchSampler(Counting()), "__len__")


def test_a_sampler_in_a_process_of_its_own_goes_on_behind_what_was_consumed():
    tracked = TrackedBatchSampler(Counting(), in_process=True)
    assert [list(keys) for keys in islice(tracked, 5)] == [[0], [1], [2], [3], [4]]
    tracked.mark_consumed(2)
    assert tracked.state_dict() == {"next": 2}
    assert [list(keys) for keys in islice(tracked, 2)] == [[2], [3]]
