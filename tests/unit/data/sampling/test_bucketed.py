# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter

import numpy as np
import pytest

from mu2slam_hf.data.examples.batch_limits import BatchLimits, ExampleCost
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.sampling.bucketed import BucketedBatchSampler
from mu2slam_hf.data.sampling.mixture import Mixture, MixtureConfig

LIMITS = BatchLimits(max_seconds=30.0, max_source_tokens=300, max_target_tokens=900, max_examples=16)


def random_examples(num_speech=150, num_text=60):
    generator = np.random.default_rng(0)
    examples = []
    for number in range(num_speech + num_text):
        speech = number < num_speech
        target = Target(task="asr", lang="en", text="x", num_tokens=int(generator.integers(1, 100)))
        examples.append(
            Example(
                id=str(number),
                source_modality="speech" if speech else "text",
                source_lang=("en", "fr", "it")[number % 3 % (1 + number % 5)],
                corpus="c",
                targets=(target,),
                duration_seconds=float(generator.lognormal(1.0, 0.7)) if speech else 0.0,
                num_source_tokens=0 if speech else int(generator.integers(1, 90)),
            )
        )
    return examples


EXAMPLES = [example for example in random_examples() if example.duration_seconds <= 30.0]


def cost_of(key):
    example = EXAMPLES[key.example]
    return ExampleCost(example.duration_seconds, example.num_source_tokens, example.num_target_tokens)


def build(rank=0, num_ranks=1, config=None, **kwargs):
    mixture = Mixture(EXAMPLES, config, seed=kwargs.get("seed", 0))
    return BucketedBatchSampler(mixture, cost_of, LIMITS, rank=rank, num_ranks=num_ranks, **kwargs)


def without_step(batches):
    return [[key._replace(step=0) for key in batch] for batch in batches]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7])
def test_nothing_is_lost_or_doubled_over_ranks(num_ranks):
    for epoch in range(3):
        batches_per_rank = []
        for rank in range(num_ranks):
            sampler = build(rank, num_ranks)
            sampler.set_epoch(epoch)
            batches = list(sampler)
            assert len(batches) == len(sampler)
            batches_per_rank.append(batches)
        assert len({len(batches) for batches in batches_per_rank}) == 1
        drawn = Counter(key.example for batches in batches_per_rank for batch in batches for key in batch)
        assert drawn == Counter(range(len(EXAMPLES)))


@pytest.mark.parametrize("num_ranks", [1, 4])
def test_budget_modality_and_balance(num_ranks):
    for step in build(num_ranks=num_ranks).plan(1):
        modalities = {EXAMPLES[key.example].source_modality for batch in step for key in batch}
        assert len(modalities) == 1 and len(step) == num_ranks, "all ranks have the same modality at the same time"
        for batch in step:
            costs = [cost_of(key) for key in batch]
            longest = ExampleCost(*(max(column) for column in zip(*costs, strict=True)))
            assert 1 <= len(batch) <= 16
            assert longest.seconds * len(batch) <= 30.0
            assert longest.source_tokens * len(batch) <= 300
            assert longest.target_tokens * len(batch) <= 900


def test_plan_is_a_function_of_seed_and_epoch():
    one, two, other = build(), build(), build(seed=5)
    first = list(one)
    assert first == list(two) == list(one), "iterating twice gives the same epoch"
    two.set_epoch(3)
    list(two)
    two.set_epoch(0)
    assert first == list(two)
    assert first != list(other)
    one.set_epoch(1)
    assert {tuple(batch) for batch in without_step(first)} != {tuple(batch) for batch in without_step(list(one))}


def test_batches_differ_in_composition_from_epoch_to_epoch():
    sampler = build()
    mates = []
    for epoch in range(2):
        pairs = set()
        for step in sampler.plan(epoch):
            members = sorted(key.example for key in step[0])
            pairs |= {(one, two) for one in members for two in members if one < two}
        mates.append(pairs)
    assert len(mates[0] & mates[1]) < 0.8 * len(mates[0])


@pytest.mark.parametrize("stop", [0, 1, 7, "last"])
def test_resume_in_the_middle_equals_uninterrupted(stop):
    whole = build(batches_per_step=2)
    wanted = [list(whole)]
    whole.set_epoch(1)
    wanted.append(list(whole))

    sampler = build(batches_per_step=2)
    stop = len(sampler) if stop == "last" else stop
    iterator = iter(sampler)
    done = [next(iterator) for _ in range(stop)]
    state = sampler.state_dict()
    next(iterator, None)  # prefetched, never trained on
    assert sampler.state_dict(batches_consumed=stop) == state

    resumed = build(batches_per_step=2)
    resumed.load_state_dict(state)
    resumed.set_epoch(0)  # a trainer says the epoch again: the place must stay
    assert done + list(resumed) == wanted[0]
    resumed.set_epoch(1)
    assert list(resumed) == wanted[1]


def test_state_of_other_data_is_refused():
    state = build().state_dict()
    for other in (build(seed=1), build(num_ranks=2), build(length_noise=0.2), build(batches_per_step=3)):
        with pytest.raises(ValueError, match="cannot resume"):
            other.load_state_dict(state)
    shorter = BucketedBatchSampler(Mixture(EXAMPLES), lambda key: ExampleCost(0.5, 1, 1), LIMITS)
    with pytest.raises(ValueError, match="cannot resume"):
        shorter.load_state_dict(state)
    with pytest.raises(ValueError, match="batch 10000"):
        build().load_state_dict(state | {"batch": 10_000})


def test_keys_carry_the_optimizer_step():
    sampler = build(batches_per_step=4)
    steps = [{key.step for key in batch} for batch in sampler]
    assert steps == [{position // 4} for position in range(len(steps))]
    sampler.set_epoch(1)
    assert {key.step for key in next(iter(sampler))} == {-(-len(steps) // 4)}
    assert sampler.steps_before(1) == -(-len(steps) // 4)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_text_share(share):
    sampler = build(config=MixtureConfig(text_batch_share=share))
    for epoch in range(3):
        kinds = Counter(EXAMPLES[step[0][0].example].source_modality for step in sampler.plan(epoch))
        assert kinds["text"] / sum(kinds.values()) == pytest.approx(share, abs=0.04)
        per_example = Counter(key.example for step in sampler.plan(epoch) for key in step[0])
        speech = {index for index, example in enumerate(EXAMPLES) if example.source_modality == "speech"}
        assert all(per_example[index] == 1 for index in speech)


def test_modalities_are_interleaved():
    kinds = [EXAMPLES[step[0][0].example].source_modality for step in build().plan(0)]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)


def test_bucketing_saves_padding():
    sampler = build()
    assert sampler.padding_ratio() < 0.15
    assert build(length_noise=0.0).padding_ratio() < sampler.padding_ratio()
    ordered = build(shuffle=False).plan(0)
    lengths = [max(cost_of(key).seconds for key in step[0]) for step in ordered]
    speech = [length for length in lengths if length > 0]
    assert speech == sorted(speech)


def test_faults():
    with pytest.raises(ValueError, match="rank"):
        build(rank=2, num_ranks=2)
    with pytest.raises(ValueError, match="batches_per_step"):
        build(batches_per_step=0)
    with pytest.raises(ValueError, match="epoch"):
        build().set_epoch(-1)
    with pytest.raises(Exception, match="max_seconds"):
        BatchLimits(max_seconds=0)
    with pytest.raises(ValueError, match="beyond the limits"):
        len(BucketedBatchSampler(Mixture(EXAMPLES), cost_of, BatchLimits(max_seconds=1.0)))
    with pytest.raises(ValueError, match="cannot be shared by 500 processes"):
        len(build(num_ranks=500))
