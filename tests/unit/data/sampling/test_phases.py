# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A curriculum: phases switch at their update, state restores the very next batch, ranks share what one would do."""

from dataclasses import replace

import pytest
from resuming import check_resume, take

from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture
from mu2slam_hf.data.sampling.phases import Phase, PhasedBatchSampler, PhasedCollator, PhasedDataset


def make_phase(name: str, steps: int, num_slots: int, num_records: int = 17, seed: int = 0) -> Phase:
    records = [
        SpeechTextRecord(id=str(i), audio="x.wav", text="a" * (i % 5 + 1), lang="en", duration_seconds=1.0 + i % 3)
        for i in range(num_records)
    ]
    examples = ExampleBuilder(tasks=["asr"]).build(records)
    dataset = ExampleDataset(examples, seed=seed)
    limits = BatchLimits(max_seconds=6.0)
    plan = BucketedPlan(Mixture(examples, seed=seed), dataset.cost_of, limits, seed=seed, num_slots=num_slots)
    return Phase(name=name, num_steps=steps, plan=plan, dataset=dataset, collator=lambda items: {"n": len(items)})


def make_sampler(rank: int = 0, num_ranks: int = 1, batches_per_step: int = 1) -> PhasedBatchSampler:
    planned = num_ranks * batches_per_step
    phases = [make_phase("first", 3, planned), make_phase("second", 5, planned, 29, seed=1)]
    return PhasedBatchSampler(phases, rank=rank, num_ranks=num_ranks, batches_per_step=batches_per_step)


def test_phases_switch_at_their_update_and_steps_count_on():
    batches = take(make_sampler(batches_per_step=2), 16)
    assert [batch[0].phase for batch in batches] == [0] * 6 + [1] * 10
    assert [batch[0].step for batch in batches] == [i // 2 for i in range(16)]


def test_an_epoch_of_a_phase_loses_and_doubles_nothing():
    sampler = make_sampler()
    steps = len(sampler.phases[1].plan.plan(0))
    batches = take(sampler, 3 + steps)[3:]
    seen = sorted(key.example for batch in batches for key in batch)
    assert seen == list(range(29))


def test_state_continues_with_the_very_next_batch():
    check_resume(make_sampler, [0, 1, 3, 4, 7, 30], 10)


def test_two_ranks_share_what_one_process_does_in_two_micro_batches():
    alone = take(make_sampler(batches_per_step=2), 20)
    ranks = [take(make_sampler(rank=rank, num_ranks=2), 10) for rank in range(2)]
    assert [batch for pair in zip(*ranks, strict=True) for batch in pair] == alone


def test_state_of_other_data_is_refused():
    state = make_sampler().state_dict()
    with pytest.raises(ValueError, match="Cannot resume in phase 'first': number of batches in an update"):
        make_sampler(num_ranks=2).load_state_dict(state)
    with pytest.raises(ValueError, match="has 2"):
        make_sampler().load_state_dict({**state, "phase": 2})


def test_plans_must_be_made_for_the_processes():
    phases = [make_phase("only", 3, 1)]
    with pytest.raises(ValueError, match="need 4"):
        PhasedBatchSampler(phases, num_ranks=2, batches_per_step=2)
    with pytest.raises(ValueError, match="at least one phase"):
        PhasedBatchSampler([])


def test_items_go_to_the_data_set_and_collator_of_their_phase():
    phases = [make_phase("a", 1, 1), replace(make_phase("b", 1, 1), batch_extras={"loss_weights": {"ctc": 2.0}})]
    dataset = PhasedDataset(phases)
    assert dataset.failures is dataset.datasets[0].failures is dataset.datasets[1].failures
    keys = next(iter(PhasedBatchSampler(phases)))
    for phase, extras in ((0, {}), (1, {"loss_weights": {"ctc": 2.0}})):
        items = [dataset[key._replace(phase=phase)] for key in keys]
        assert all(item.drawn.key.phase == phase and "no such file" in item.error for item in items)
        assert PhasedCollator(phases)(items) == {"n": len(items)} | extras
