# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
import random
from collections import Counter

import pytest
from public_schema import sound, write_sound
from resuming import check_resume, take

from mu2slam_hf.data import durations
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.examples.builder import ExampleBuilder, ExampleLimits
from mu2slam_hf.data.examples.failures import FailureCount
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.example_streams import ExampleStream, SourceChoice, StreamSource, build_stream_sources
from mu2slam_hf.data.sampling.mixture import temperature_shares
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.data.sampling.mixture_report import format_mixture
from mu2slam_hf.data.sampling.sharded_streams import ShardedStream
from mu2slam_hf.data.sampling.stream_sampler import StreamBatchSampler

SHARES = {"speech": 4, "text": 8, "asr": 1, "ast": 1, "mt": 1}
SIZES = {"en": 800.0, "fr": 100.0, "sw": 1.0}
FROM_ENGLISH = "ar ca cy de et fa id ja lv mn sl sv ta tr zh".split()


def records_of(shard):
    """30 sentences of `corpus/lang/number`, each with three translations; lengths differ."""
    corpus, lang, number = shard.split("/")
    for place in range(30):
        seconds = 1.0 + (7 * place) % 11
        yield SpeechTextRecord(
            id=f"{number}-{place}",
            audio={"bytes": b"x" * 10, "path": None},
            text="x" * (1 + (5 * place) % 23),
            lang=lang,
            translations={"it": "yy" * (1 + place % 5), "ru": "z"},
            duration_seconds=seconds,
            corpus=corpus,
        )


def sources(rank=0, num_ranks=1, num_shards=3, seed=0, read=records_of, sizes=SIZES):
    found = []
    for task in SHARES:
        for corpus, langs in (("a", ("en", "fr")), ("b", ("en", "sw"))):
            for lang in langs:
                shards = [f"{corpus}/{lang}/{number}" for number in range(num_shards)]
                stream = ShardedStream(
                    shards, read, name=f"{task}/{corpus}/{lang}", seed=seed, rank=rank, num_ranks=num_ranks
                )
                found.append(StreamSource(task=task, corpus=corpus, lang=lang, size=sizes[lang], stream=stream))
    return found


def build(rank=0, num_ranks=1, batches_per_step=1, seed=0, num_shards=3, builders=None, read=records_of, **config):
    return StreamBatchSampler(
        sources(rank, num_ranks, num_shards, seed, read),
        MixtureConfig(**config),
        builders=builders,
        seed=seed,
        rank=rank,
        num_ranks=num_ranks,
        batches_per_step=batches_per_step,
    )


def build_of(task, **options):
    return ExampleBuilder(tasks=[task], one_target=True, **options)


def tasks_of(batch):
    return Counter(key.example.task for key in batch)


def test_every_batch_has_the_shares_and_its_step():
    for rank in range(2):
        for number, batch in enumerate(take(build(rank=rank, num_ranks=2, batches_per_step=2), 30)):
            assert tasks_of(batch) == SHARES
            assert {key.step for key in batch} == {number // 2}


def test_each_stream_is_gone_through_once_per_epoch_over_all_ranks():
    for num_shards in (4, 3):
        drawn = Counter()
        samplers = [build(rank=rank, num_ranks=2, num_shards=num_shards, shares={"asr": 2}) for rank in range(2)]
        for sampler in samplers:
            for batch in take(sampler, 200):
                drawn.update((key.example.id, key.epoch) for key in batch)
        assert set(drawn.values()) == {1}
        of_epoch = Counter(id.rsplit("/", 1)[0] for id, epoch in drawn if epoch == 0)
        assert of_epoch["asr:a/en"] == 30 * num_shards


@pytest.mark.parametrize("config", [{}, {"max_seconds": 30.0, "max_tokens": 130}])
@pytest.mark.parametrize("num_ranks", [1, 3])
def test_resume_is_exact_at_any_batch_and_on_any_rank(num_ranks, config):
    chance = random.Random(3)
    for rank in range(num_ranks):
        settings = {"rank": rank, "num_ranks": num_ranks, "batches_per_step": 2, "num_shards": 2, **config}
        check_resume(lambda given=settings: build(**given), [0, *(chance.randrange(45) for _ in range(5))])


def test_budgets_hold_keep_the_shares_and_lose_nothing():
    batches = take(build(max_seconds=30.0, max_tokens=130), 200)
    free = [key for batch in take(build(), 200) for key in batch]
    keys = [key for batch in batches for key in batch]
    for batch in batches:
        assert batch and sum(key.example.duration_seconds for key in batch) <= 30.0
        assert sum(key.example.num_source_tokens + key.example.num_target_tokens for key in batch) <= 130
    assert 15 > len(keys) / len(batches) > 5
    unstepped = [[(key.example, key._replace(step=0)) for key in each] for each in (keys, free)]
    assert unstepped[0] == unstepped[1][: len(keys)]
    counts = tasks_of(keys)
    assert all(abs(counts[task] - share * len(keys) / 15) < 1 for task, share in SHARES.items())


def test_what_is_alone_beyond_a_budget_is_left_out_and_counted():
    sampler = build(max_seconds=9.5)
    keys = [key for batch in take(sampler, 100) for key in batch]
    assert max(key.example.duration_seconds for key in keys) <= 9.5
    assert sampler.builders["speech"].left_out["beyond the budget of a batch"] > 0
    with pytest.raises(ValueError, match="has no example for task 'speech'.* x beyond the budget"):
        take(build(max_seconds=0.5), 1)
    builders = {"asr": build_of("asr", languages=["de"])}
    with pytest.raises(ValueError, match="has no example for task 'asr'.* x other language"):
        take(build(builders=builders), 1)


def test_languages_by_temperature_and_corpora_by_weight():
    sampler = build(shares={"text": 1, "asr": 1}, corpus_weights={"text": {"b": 3.0}})
    by_lang = temperature_shares({"en": 800 + 2400, "fr": 100, "sw": 3}, 3.0)
    wanted = {
        "text/a/en": by_lang["en"] / 4,
        "text/b/en": by_lang["en"] * 3 / 4,
        "text/a/fr": by_lang["fr"],
        "text/b/sw": by_lang["sw"],
    }
    assert sampler.source_shares("text") == pytest.approx(wanted)
    counts = Counter(key.example.id[:9] for batch in take(sampler, 500) for key in batch)
    for name, share in wanted.items():
        assert counts[name.replace("/", ":", 1)] == pytest.approx(500 * share, abs=3)
    summary = sampler.summarize()
    assert summary[0].language_shares == pytest.approx(by_lang)
    assert summary[1].language_shares["en"] == pytest.approx(1600 / 1701)
    assert "text" in format_mixture(summary, 100) and " - " in format_mixture(summary)


def test_choice_of_sources_is_even_over_any_stretch_and_differs_between_ranks():
    shares = {"a": 0.7, "b": 0.25, "c": 0.04, "d": 0.01}
    choices = [SourceChoice(shares, 0, "asr", rank) for rank in range(2)]
    drawn = [[choice(number) for number in range(2000)] for choice in choices]
    assert drawn[0] != drawn[1]
    for start in range(0, 1500, 100):
        counts = Counter(drawn[0][start : start + 500])
        assert all(abs(counts[name] - 500 * share) <= 2.5 for name, share in shares.items())
    assert choices[0](10**12) in shares


def test_translations_of_a_record_take_turns_in_its_epochs():
    def stream():
        records = ShardedStream(["a/en/0"], records_of, name="s", block_size=10)
        return ExampleStream(records, build_of("ast"), lambda example: False)

    def take_examples(examples, count):
        taken = []
        for _ in range(count):
            taken.append((examples.peek()[0].id, examples.peek()[1]))
            examples.advance()
        examples.peek()  # looking at the next one does not change the state
        return taken

    whole = take_examples(stream(), 120)
    assert [epoch for _, epoch in whole] == [number // 30 for number in range(120)]
    for first in range(0, 120, 30):
        recordings = {id.rpartition(":")[0] for id, _ in whole[first : first + 30]}
        assert len(recordings) == 30, "each recording once in an epoch"
    assert len({id for id, _ in whole[:60]}) == 60, "both translations in two epochs"
    for first in range(0, 120, 10):
        assert Counter(id[-2:] for id, _ in whole[first : first + 10]) == {"it": 5, "ru": 5}
    check_resume(stream, [0, 1, 2, 29, 30, 31, 59, 60], 40, take_examples)


def recordings_of(shard):
    """1,200 recordings with 15 translations each."""
    for place in range(1200):
        yield SpeechTextRecord(
            id=f"{shard}-{place}",
            audio={"bytes": b"x", "path": None},
            lang="en",
            translations=dict.fromkeys(FROM_ENGLISH, "x"),
            duration_seconds=1.0,
            corpus="c",
        )


@pytest.mark.parametrize("num_shards, num_ranks", [(4, 2), (5, 2)])
def test_no_recording_comes_twice_within_1000_draws_of_a_rank(num_shards, num_ranks):
    shards = [str(number) for number in range(num_shards)]
    place = {"rank": 1, "num_ranks": num_ranks}
    stream = ShardedStream(shards, recordings_of, name="s", block_size=100, **place)
    source = StreamSource(task="ast", corpus="c", lang="en", size=1.0, stream=stream)
    sampler = StreamBatchSampler([source], MixtureConfig(shares={"ast": 10}), **place)
    keys = [key for batch in take(sampler, 700) for key in batch]
    last: dict[str, int] = {}
    for number, key in enumerate(keys):
        recording = key.example.id.rpartition(":")[0]
        assert number - last.get(recording, -1000) >= 1000
        last[recording] = number
    directions = Counter(key.example.targets[0].lang for key in keys)
    assert directions.keys() == set(FROM_ENGLISH)
    assert all(count == pytest.approx(7000 / 15, rel=0.02) for count in directions.values())


def test_foreign_states_are_refused():
    state = build().state_dict()
    limits = {"text": build_of("text", limits=ExampleLimits(max_tokens=9))}
    words = {"text": build_of("text", count_tokens=lambda text: len(text.split()))}
    for other, name in (
        (build(seed=1), r"seed \(0 in the checkpoint, now 1\), shards or sizes"),
        (build(num_shards=4), "shards or sizes"),
        (build(temperatures={"mt": 1}), "temperatures"),
        (build(builders=limits), "languages, limits or tokenizer"),
        (build(builders=words), "languages, limits or tokenizer"),
    ):
        with pytest.raises(ValueError, match=f"Cannot resume: {name} differ from those of the checkpoint"):
            other.load_state_dict(state)


def test_a_state_of_another_rule_of_drawing_is_refused():
    state = build().state_dict()
    del state["fingerprint"]["version of the order of draws"]
    with pytest.raises(ValueError, match=r"version of the order of draws \(None in the checkpoint, now 3\)"):
        build().load_state_dict(state)


@pytest.mark.parametrize("config", [{}, {"max_seconds": 30.0, "max_tokens": 130}])
def test_two_processes_go_on_as_one_and_one_as_two(config):
    def resumed(samplers, num_ranks):
        states = [json.loads(json.dumps(sampler.state_dict())) for sampler in samplers]
        found = [build(rank=rank, num_ranks=num_ranks, num_shards=2, **config) for rank in range(num_ranks)]
        for sampler in found:
            sampler.load_state_dict(sampler.state_from_ranks(states))
        return found

    samplers = [build(rank=rank, num_ranks=2, num_shards=2, **config) for rank in range(2)]
    drawn, tasks, num_steps = Counter(), Counter(), 0
    for num_ranks in (2, 1, 2):
        samplers = resumed(samplers, num_ranks) if num_steps else samplers
        for sampler in samplers:
            for number, batch in enumerate(take(sampler, 23)):
                assert {key.step for key in batch} == {num_steps + number}
                tasks.update(tasks_of(batch))
                # A pair of translations is in the sources of two languages here.
                drawn.update((key.example.id, key.epoch) for key in batch if key.example.task != "mt")
        num_steps += 23
    assert set(drawn.values()) == {1}
    for task, share in SHARES.items():
        assert tasks[task] == pytest.approx(share * tasks.total() / 15, abs=5)
    half = build(batches_per_step=2)
    take(half, 1)
    with pytest.raises(ValueError, match="middle of an update"):
        build().state_from_ranks([half.state_dict()])
    both = [build(rank=rank, num_ranks=2).state_dict() for rank in range(2)]
    other = build(rank=1, num_ranks=2, seed=1).state_dict()
    for states in (both[:1], both[::-1], [both[0], other]):
        with pytest.raises(ValueError, match="the states of all processes of one run"):
            build().state_from_ranks(states)
    with pytest.raises(ValueError, match="that of process 1 of 2, but this is 0 of 1"):
        build().load_state_dict(both[1])


@pytest.mark.parametrize("num_shards", [3, 8])
def test_a_header_is_opened_once_for_an_example_over_eight_ranks(tmp_path, monkeypatch, num_shards):
    write_sound(tmp_path / "a.wav", 0.5)
    write_sound(tmp_path / "long.wav", 1.5)
    for shard in range(num_shards):
        names = ["long.wav" if number % 10 == 9 else "a.wav" for number in range(40)]
        rows = [{"id": f"{shard}.{n}", "audio": name, "lang": "en", "text": "x"} for n, name in enumerate(names)]
        (tmp_path / f"{shard}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    opened = Counter()
    measure = durations.audio_duration_seconds
    monkeypatch.setattr(
        durations, "audio_duration_seconds", lambda file, **name: opened.update([file]) or measure(file, **name)
    )
    shards = {"en": [str(tmp_path / f"{shard}.jsonl") for shard in range(num_shards)]}
    reader = ManifestShardReader(corpus="c", max_duration_seconds=1.0)
    drawn = Counter()
    for rank in range(8):
        place = {"rank": rank, "num_ranks": 8}
        (source,) = build_stream_sources(reader, "asr", corpus="c", shards=shards, sizes={"en": 1.0}, **place)
        sampler = StreamBatchSampler([source], MixtureConfig(shares={"asr": 1}), **place)
        while (key := take(sampler, 1)[0][0]).epoch == 0:
            drawn[key.example.id] += 1
    assert len(drawn) == 36 * num_shards and set(drawn.values()) == {1}
    # Those that are too long are opened too, and each rank has begun a second epoch.
    assert 40 * num_shards + 8 <= opened.total() <= 40 * num_shards + 2 * 8


def test_faulty_sources():
    found = sources()
    with pytest.raises(ValueError, match="occurring twice: .*speech/a/en"):
        StreamBatchSampler([*found, found[0]])
    with pytest.raises(ValueError, match="`shares` has mt, but there is no stream"):
        StreamBatchSampler([source for source in found if source.task != "mt"])
    with pytest.raises(ValueError, match=r"names \['z'\]"):
        StreamBatchSampler(found, MixtureConfig(corpus_weights={"mt": {"z": 1}}))
    with pytest.raises(ValueError, match="process 0 of 1, but this is 1 of 2"):
        StreamBatchSampler(found, rank=1, num_ranks=2)


def without_durations(shard):
    """The first two of four have no readable length."""
    for place in range(4):
        audio = {"bytes": b"no audio" * 20, "path": None} if place < 2 else {"bytes": sound(0.5), "path": None}
        yield SpeechTextRecord(id=f"{shard}-{place}", audio=audio, text="x", lang="en", translations={"it": "y"})


def test_lengths_that_nobody_stated_are_read_and_faults_counted():
    failures = FailureCount(0.9)
    stream = ShardedStream(["s"], without_durations, name="s")
    examples = ExampleStream(stream, build_of("asr"), lambda example: False, failures)
    seen = set()
    for _ in range(4):
        example, _ = examples.peek()
        assert example.duration_seconds == pytest.approx(0.5)
        seen.add(example.id)
        examples.advance()
    assert len(seen) == 2 and failures.failures >= 2
    with pytest.raises(ValueError, match="this is text, not audio"):
        examples = ExampleStream(
            ShardedStream(["s"], without_durations, name="s", shuffle=False),
            build_of("asr"),
            lambda example: False,
        )
        examples.peek()
