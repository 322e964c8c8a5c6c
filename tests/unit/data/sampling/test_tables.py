# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import random
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from resuming import check_resume, take

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.dealing import deal_evenly
from mu2slam_hf.data.sampling.mixture import temperature_shares
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.data.sampling.mixture_report import format_mixture
from mu2slam_hf.data.sampling.tables import TableBatchSampler
from mu2slam_hf.data.sampling.task_order import TaskOrder

SHARES = {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}


def example(task, number, lang="en", other="fr", corpus="c", seconds=2.0, tokens=10):
    targets = () if task in ("speech", "text") else (Target(task=task, lang=other, text="x", num_tokens=tokens),)
    spoken = task in ("speech", "asr", "ast")
    return Example(
        id=f"{task}:{corpus}/{lang}/{other}/{number}",
        source_modality="speech" if spoken else "text",
        source_lang=lang,
        targets=targets,
        corpus=corpus,
        duration_seconds=seconds if spoken else 0.0,
        num_source_tokens=0 if spoken else tokens,
    )


def many(seed=0):
    """All tasks, several languages, uneven lengths; sizes without common factors."""
    lengths = np.random.default_rng(seed)
    sizes = {
        ("speech", "en"): 37,
        ("speech", "fr"): 10,
        ("text", "en"): 101,
        ("text", "sw"): 3,
        ("asr", "en"): 7,
        ("ast", "fr"): 5,
        ("mt", "en"): 6,
        ("mt", "ru"): 11,
    }
    return [
        example(task, n, lang, seconds=float(lengths.uniform(0.5, 12)), tokens=int(lengths.integers(1, 60)))
        for (task, lang), size in sizes.items()
        for n in range(size)
    ]


EXAMPLES = many()
FLAT = {task: 1.0 for task in SHARES}


def build(examples=EXAMPLES, rank=0, num_ranks=1, batches_per_step=1, seed=3, **config):
    return TableBatchSampler(
        examples,
        MixtureConfig(**config),
        seed=seed,
        rank=rank,
        num_ranks=num_ranks,
        batches_per_step=batches_per_step,
    )


def tasks_of(batch, examples=EXAMPLES):
    return Counter(examples[key.example].task for key in batch)


def test_every_batch_of_every_rank_has_the_shares():
    for rank in range(3):
        sampler = build(rank=rank, num_ranks=3, batches_per_step=2)
        for number, batch in enumerate(take(sampler, 20)):
            assert tasks_of(batch) == SHARES
            assert {key.step for key in batch} == {number // 2}


def test_each_task_goes_through_its_data_epoch_after_epoch():
    sampler = build(temperatures=FLAT)
    drawn = defaultdict(list)
    for batch in take(sampler, 60):
        for key in batch:
            assert key.copy == 0
            drawn[EXAMPLES[key.example].task].append(key)
    for task, keys in drawn.items():
        size = sum(each.task == task for each in EXAMPLES)
        epochs = [keys[start : start + size] for start in range(0, len(keys) - size + 1, size)]
        assert len(epochs) >= 2, task
        orders = set()
        for number, epoch in enumerate(epochs):
            assert len({key.example for key in epoch}) == size and {key.epoch for key in epoch} == {number}
            orders.add(tuple(key.example for key in epoch))
        assert len(orders) == len(epochs), "each epoch has an order of its own"


def test_temperatures_and_weights_give_the_shares_of_an_epoch():
    examples = [example("text", n, "en", corpus="x") for n in range(800)]
    examples += [example("text", n, "sw", corpus="y") for n in range(20)]
    examples += [example("text", n, "en", corpus="y") for n in range(30)]
    sampler = build(examples, shares={"text": 8}, corpus_weights={"text": {"y": 2.0}})
    shares = temperature_shares({"en": 860, "sw": 40}, 3.0)
    assert sampler.summarize()[0].language_shares == pytest.approx(shares)
    drawn = [key for batch in take(sampler, 3 * 900 // 8 + 1) for key in batch if key.epoch < 3]
    for epoch in range(3):
        counts = Counter(examples[key.example].source_lang for key in drawn if key.epoch == epoch)
        assert counts == pytest.approx({lang: 900 * share for lang, share in shares.items()}, abs=2)


def test_temperature_of_mt_acts_on_pairs_in_either_order():
    examples = [example("mt", n, "en", "fr") for n in range(45)] + [example("mt", n, "fr", "en") for n in range(45)]
    examples += [example("mt", n, "en", "ru") for n in range(10)]
    assert {each.sampling_language for each in examples} == {"en-fr", "en-ru"}
    sampler = build(examples, shares={"mt": 1})
    (summary,) = sampler.summarize()
    assert summary.language_shares == pytest.approx({"en-fr": 0.75, "en-ru": 0.25})


@pytest.mark.parametrize("config", [{}, {"max_seconds": 20.0, "max_tokens": 150}])
def test_one_process_with_two_micro_batches_sees_the_batches_of_two_processes(config):
    one = take(build(batches_per_step=2, **config), 40)
    ranks = [take(build(rank=rank, num_ranks=2, **config), 20) for rank in range(2)]
    assert one == [batch for pair in zip(*ranks, strict=True) for batch in pair]


def test_seconds_and_tokens_are_dealt_evenly():
    sampler = build(num_ranks=4)
    for start in range(0, 1200, 60):
        plan = sampler.plan_step(start)
        assert np.bincount(plan.slots).tolist() == [15] * 4
        for sizes in (sampler.seconds, sampler.tokens):
            load = np.bincount(plan.slots, weights=sizes[plan.indices], minlength=4)
            assert load.max() / load.mean() < 1.2


def test_deal_evenly_in_closed_form():
    slots = deal_evenly(np.asarray([[5.0], [4.0], [3.0], [2.0]]), np.zeros(4, dtype=np.int64), 2)
    assert slots.tolist() == [0, 1, 1, 0]
    slots = deal_evenly(np.asarray([[1.0, 0.0], [0.0, 9.0], [1.0, 0.0]]), np.asarray([0, 1, 0]), 4)
    assert len(set(slots.tolist())) == 3, "one in each slot before any gets a second one"
    # two long and two short recordings, two long and two short texts: each evened out for itself
    sizes = np.asarray([[9.0, 0], [1, 0], [9, 0], [1, 0], [0, 9], [0, 9], [0, 1], [0, 1]])
    slots = deal_evenly(sizes, np.asarray([0, 0, 0, 0, 1, 1, 1, 1]), 2)
    assert [sizes[slots == slot].sum(axis=0).tolist() for slot in (0, 1)] == [[10, 10], [10, 10]]


def test_budgets_hold_lose_nothing_and_keep_the_shares():
    budgets = {"max_seconds": 42.0, "max_tokens": 420}
    samplers = [build(rank=rank, num_ranks=2, temperatures=FLAT, **budgets) for rank in range(2)]
    counts, full = Counter(), 0
    keys = []
    for batches in islice(zip(*samplers, strict=True), 300):
        for batch in batches:
            assert batch
            assert sum(samplers[0].seconds[key.example] for key in batch) <= 42.0
            assert sum(samplers[0].tokens[key.example] for key in batch) <= 420
            counts.update(tasks_of(batch))
            keys += batch
        whole = sum(map(len, batches)) == 30
        full += whole
        assert not whole or all(tasks_of(batch) == SHARES for batch in batches)
    assert 0 < full < 300
    unit = sum(counts.values()) / 15
    for task, share in SHARES.items():
        assert abs(counts[task] - share * unit) < 2
    # the same draws, in the same order, as without budgets
    free = build(temperatures=FLAT, num_ranks=1)
    wanted = {key._replace(step=0) for batch in take(free, len(keys) // 15) for key in batch}
    taken = [key._replace(step=0) for key in keys]
    assert len(set(taken)) == len(taken) and len(wanted - set(taken)) == 0


def test_a_budget_for_the_longest_alone_still_goes_on():
    seconds = max(each.duration_seconds for each in EXAMPLES)
    sampler = build(num_ranks=2, max_seconds=seconds)
    assert all(batch for batch in take(sampler, 50))
    with pytest.raises(ValueError, match=r"alone has .* more than `max_seconds`"):
        build(max_seconds=seconds - 0.01)
    with pytest.raises(ValueError, match="`max_tokens` = 3"):
        build(max_tokens=3)
    # what is not trained on does not count
    text = [each for each in EXAMPLES if each.task == "text"]
    build(EXAMPLES, shares={"text": 1}, max_seconds=0.1, max_tokens=max(each.num_source_tokens for each in text))


@pytest.mark.parametrize("config", [{}, {"max_seconds": 22.0, "max_tokens": 160}])
def test_a_resumed_run_goes_on_exactly(config):
    chance = random.Random(1)
    check_resume(lambda: build(batches_per_step=3, **config), [chance.randrange(100) for _ in range(12)])


def test_a_foreign_state_is_refused_and_says_what_to_do():
    state = build().state_dict()
    for other, name in (
        (build(seed=4), r"seed \(3 in the checkpoint, now 4\)"),
        (build(many(seed=1)), "examples"),
        (build(EXAMPLES[:-1]), "examples"),
        (build(shares=SHARES | {"text": 7}), "shares"),
        (build(temperatures={"text": 2.0}), "temperatures"),
        (build(max_seconds=100.0), "budgets"),
        (build(corpus_weights={"asr": {"c": 2}}), "corpus weights"),
    ):
        with pytest.raises(ValueError, match=f"Cannot resume: {name} differ from those of the checkpoint"):
            other.load_state_dict(state)
    # numbers that are equal, written differently, are not another configuration
    build(temperatures={"text": 3, "mt": 2, "asr": 1}).load_state_dict(state)


def test_small_tasks_run_through_many_epochs_in_one_update():
    examples = [example("asr", 0), example("asr", 1), *(example("text", n) for n in range(3))]
    sampler = build(examples, num_ranks=5, shares={"asr": 3, "text": 1})
    keys = [key for start in (0, 20) for key in zip(*_columns(sampler.plan_step(start)), strict=True)]
    assert len(set(keys)) == len(keys) == 40
    assert Counter(index for index, _, _ in keys if index < 2) == {0: 15, 1: 15}


def _columns(plan):
    return plan.indices.tolist(), plan.epochs.tolist(), plan.copies.tolist()


def test_over_sampled_examples_are_told_apart_by_their_copy():
    examples = [example("text", n, "en") for n in range(50)] + [example("text", 0, "sw")]
    keys = [key for batch in take(build(examples, shares={"text": 1}), 51) for key in batch]
    rare = [key for key in keys if key.example == 50]
    assert len(rare) > 5 and [key.copy for key in sorted(rare, key=lambda key: key.copy)] == list(range(len(rare)))


def test_order_of_the_tasks():
    order = TaskOrder(SHARES)
    assert len(order) == 15
    for start in range(40):
        assert np.bincount(order.turns(start, 15)).tolist() == [SHARES[task] for task in order.tasks]
        turns = order.turns(0, start)
        assert order.num_before(start) == {task: int((turns == n).sum()) for n, task in enumerate(order.tasks)}
        for n, task in enumerate(order.tasks):
            assert abs((turns == n).sum() - start * SHARES[task] / 15) < 1


def test_faulty_configurations():
    for fields, match in [
        ({"shares": {"tts": 1}}, "shares"),
        ({"shares": {"asr": -1}}, "shares"),
        ({"shares": {}}, "shares"),
        ({"temperatures": {"mt": 0}}, "temperatures"),
        ({"corpus_weights": {"mt": {"x": -1.0}}}, "corpus_weights"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_tokens": 0}, "max_tokens"),
    ]:
        with pytest.raises(Exception, match=match):
            MixtureConfig(**fields)
    with pytest.raises(ValueError, match="`shares` has ast, but there is no such example"):
        build([each for each in EXAMPLES if each.task != "ast"])
    with pytest.raises(ValueError, match="'nowhere'"):
        build(corpus_weights={"mt": {"nowhere": 1}})
    assert MixtureConfig().shares == SHARES
    assert [MixtureConfig().temperature(task) for task in SHARES] == [1, 3, 1, 1, 2]


def test_table_for_the_console():
    text = format_mixture(build().summarize(), num_steps=100)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == ["task", "speech", "text", "asr", "ast", "mt"]
    assert "en 76.4%, sw 23.6%" in lines[2] and f"{800 / 104:.1f}" in lines[2]
    assert "steps/epoch" in format_mixture(build().summarize())


def translated(num_recordings, num_translations):
    """Examples of `ast`: recordings with that many translations each, of English, and as many of French with one."""
    for lang, targets in (("en", num_translations), ("fr", 1)):
        for number in range(num_recordings):
            record = SpeechTextRecord(id=f"{lang}{number}", lang=lang, text="x")
            for target in range(targets):
                yield replace(example("ast", number, lang, other=f"l{target}"), record=record)


@pytest.mark.parametrize("num_recordings, temperature", [(550, 1.0), (700, 1.0), (700, 5.0), (1500, 5.0)])
def test_draws_of_one_recording_are_1000_apart_also_over_epochs(num_recordings, temperature):
    examples = list(translated(num_recordings, 6))
    sampler = build(examples, shares={"ast": 80}, temperatures={"ast": temperature})
    drawn = [examples[key.example] for batch in take(sampler, 3 * len(examples) // 80) for key in batch]
    last: dict[str, int] = {}
    distances, times = [], Counter()
    for place, one in enumerate(drawn):
        times[one.record.key, place // len(examples)] += 1
        if one.record.key in last:
            distances.append(place - last[one.record.key])
        last[one.record.key] = place
    # 700 recordings of which some are drawn 6 times in 4,900 draws are at most 816 apart.
    assert min(distances) >= min(1000, 0.9 * len(examples) / max(times.values()))


def test_epochs_of_few_recordings_stay_plain_permutations():
    parts = build(EXAMPLES).fingerprint_parts()
    assert "tasks whose recordings are spread" not in parts
    many_recordings = [example("speech", number) for number in range(1001)]
    sampler = build(many_recordings, shares={"speech": 1})
    assert sampler.fingerprint_parts()["tasks whose recordings are spread"] == ["speech"]
    epochs = [[key.example for batch in take(sampler, 1001) for key in batch] for _ in range(2)]
    assert all(sorted(epoch) == list(range(1001)) for epoch in epochs)
