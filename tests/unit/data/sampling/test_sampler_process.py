# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batches drawn in a process of their own: the same ones with the same states, and its errors arrive."""

import os
import signal
from itertools import islice

import pytest

from mu2slam_hf.data.examples.failures import FailureCount, TooManyBadRecordsError
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.sampling.sampler_process import draw_in_process


class Numbers(ResumableBatchSampler):
    """Batches of two keys; the epoch is the process that drew them."""

    kind, cursor = "numbers", ("next",)

    def __init__(self, failures=None, last=None):
        super().__init__()
        self.next, self.failures, self.last = 0, failures, last

    def take_batch(self):
        if self.next == self.last:
            self.failures.add("record 7: no sound")
        self.next += 2
        return [DrawKey(self.next - 2, os.getpid()), DrawKey(self.next - 1, os.getpid())]

    def fingerprint_parts(self):
        return {}


def test_batches_and_states_are_those_of_the_sampler_elsewhere():
    sampler = Numbers()
    sampler.next = 10
    expected = Numbers()
    expected.next = 10
    for (keys, state_after), batch in zip(islice(draw_in_process(sampler), 40), expected, strict=False):
        assert [(key.example, key.step) for key in keys] == [(key.example, key.step) for key in batch]
        assert {key.epoch for key in keys}.isdisjoint({os.getpid()})
        assert state_after() == expected.state_dict()
    assert sampler.next == 10


def test_its_errors_arrive_after_the_batches_before_them():
    failures = FailureCount(0.0, min_failures=1)
    batches = draw_in_process(Numbers(failures, last=6))
    assert [key.example for keys, _ in islice(batches, 3) for key in keys] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(TooManyBadRecordsError, match="record 7: no sound"):
        next(batches)
    assert failures.failures == 1, "what it counts is seen here"


def test_a_process_that_was_killed_is_named(monkeypatch):
    killed = []
    batches = draw_in_process(Numbers())
    keys, _ = next(batches)
    (process,) = {key.epoch for key in keys}
    os.kill(process, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="ended unexpectedly .exit code -9.*block_size"):
        killed.extend(batches)
    assert len(killed) < 10_000
