# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from collections import Counter

import numpy as np
import pytest

from mu2slam_hf.data.examples.batch_limits import BatchLimits, ExampleCost
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture

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


def build(**kwargs):
    return BucketedPlan(Mixture(EXAMPLES, seed=kwargs.get("seed", 0)), cost_of, LIMITS, **kwargs)


@pytest.mark.parametrize("num_slots", [1, 2, 3, 7])
def test_nothing_is_lost_or_doubled(num_slots):
    plan = build(num_slots=num_slots)
    for epoch in range(3):
        drawn = Counter(key.example for step in plan.plan(epoch) for batch in step for key in batch)
        assert drawn == Counter(range(len(EXAMPLES)))


@pytest.mark.parametrize("num_slots", [1, 4])
def test_budget_modality_and_balance(num_slots):
    for step in build(num_slots=num_slots).plan(1):
        modalities = {EXAMPLES[key.example].source_modality for batch in step for key in batch}
        assert len(modalities) == 1 and len(step) == num_slots, "all slots have the same modality at the same time"
        for batch in step:
            costs = [cost_of(key) for key in batch]
            longest = ExampleCost(*(max(column) for column in zip(*costs, strict=True)))
            assert 1 <= len(batch) <= 16
            assert longest.seconds * len(batch) <= 30.0
            assert longest.source_tokens * len(batch) <= 300
            assert longest.target_tokens * len(batch) <= 900


def test_plan_is_a_function_of_seed_and_epoch():
    one, two, other = build(), build(), build(seed=5)
    first = one.plan(0)
    two.plan(3)
    assert first == two.plan(0) != other.plan(0)
    assert {tuple(batch) for (batch,) in first} != {tuple(batch) for (batch,) in one.plan(1)}


def test_batches_differ_in_composition_from_epoch_to_epoch():
    plan = build()
    mates = []
    for epoch in range(2):
        pairs = set()
        for step in plan.plan(epoch):
            members = sorted(key.example for key in step[0])
            pairs |= {(one, two) for one in members for two in members if one < two}
        mates.append(pairs)
    assert len(mates[0] & mates[1]) < 0.8 * len(mates[0])


def test_fingerprint_names_what_differs():
    shorter = BucketedPlan(Mixture(EXAMPLES), lambda key: ExampleCost(0.5, 1, 1), LIMITS)
    weighted = BucketedPlan(Mixture(EXAMPLES, corpus_weights={"c": 2.0}), cost_of, LIMITS)
    parts = build().fingerprint_parts()
    for other, name in (
        (build(seed=1), "seed"),
        (build(length_noise=0.2), "batch limits"),
        (shorter, "examples"),
        (weighted, "corpora and their weights"),
    ):
        assert other.fingerprint_parts()[name] != parts[name]
    assert build().fingerprint_parts() == parts


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_text_share(share):
    plan = build(text_batch_share=share)
    for epoch in range(3):
        kinds = Counter(EXAMPLES[step[0][0].example].source_modality for step in plan.plan(epoch))
        assert kinds["text"] / sum(kinds.values()) == pytest.approx(share, abs=0.04)
        per_example = Counter(key.example for step in plan.plan(epoch) for key in step[0])
        speech = {index for index, example in enumerate(EXAMPLES) if example.source_modality == "speech"}
        assert all(per_example[index] == 1 for index in speech)


def test_modalities_are_interleaved():
    kinds = [EXAMPLES[step[0][0].example].source_modality for step in build().plan(0)]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)


def padding_ratio(plan):
    sizes = [[max(cost_of(key)[:2]) for key in batch] for step in plan.plan(0) for batch in step]
    return 1 - sum(map(sum, sizes)) / sum(max(batch) * len(batch) for batch in sizes)


def test_bucketing_saves_padding():
    assert padding_ratio(build(length_noise=0.0)) < padding_ratio(build()) < 0.15
    ordered = build(shuffle=False).plan(0)
    lengths = [max(cost_of(key).seconds for key in step[0]) for step in ordered]
    speech = [length for length in lengths if length > 0]
    assert speech == sorted(speech)


def test_faults():
    with pytest.raises(Exception, match="max_seconds"):
        BatchLimits(max_seconds=0)
    with pytest.raises(ValueError, match="text_batch_share"):
        build(text_batch_share=1.0)
    with pytest.raises(ValueError, match="exceeds the limits"):
        BucketedPlan(Mixture(EXAMPLES), cost_of, BatchLimits(max_seconds=1.0)).plan(0)
    with pytest.raises(ValueError, match="cannot be shared by 500 batches of an update"):
        build(num_slots=500).plan(0)
