# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Plans of the paper's recipes against the paper's hours, and against what the sampler draws."""

from collections import Counter
from dataclasses import replace

import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.cli.commands.inspection.plan import format_plan, load_planned_recipe
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.example_streams import StreamSource
from mu2slam_hf.data.sampling.sharded_streams import ShardedStream
from mu2slam_hf.data.sampling.stream_sampler import StreamBatchSampler
from mu2slam_hf.recipes.data.mixture import build_mixture_config
from mu2slam_hf.recipes.runs.plan import build_plan, plan_draws, plan_sources
from mu2slam_hf.recipes.runs.training_cost import Hardware, MeanLengths, count_flops
from mu2slam_hf.recipes.schema.loader import RecipeError

RECIPES = REPOSITORY_ROOT / "configuration" / "recipes"
CHAR, CHAR_8 = RECIPES / "mu2slam" / "pretrain_char.yaml", RECIPES / "mu2slam" / "pretrain_char_8gpu.yaml"
MSLAM = RECIPES / "mslam" / "pretrain_0_6b.yaml"
LENGTHS = MeanLengths()


@pytest.fixture(autouse=True)
def no_corpora(monkeypatch):
    """A plan is made before anything is there."""
    for name in ("CORPORA", "SPEECH_TOKENIZER"):
        monkeypatch.delenv(f"MU2SLAM_{name}", raising=False)


def planned(path, *overrides):
    recipe = load_planned_recipe(str(path), overrides)
    return recipe, build_mixture_config(recipe)


def shares_of(draws, task):
    shares = Counter()
    for item in draws:
        if item.task == task:
            shares[item.corpus] += item.share
    return shares


def test_the_papers_hours_are_the_shares():
    """A.1: 429k hours of speech; 1.3k, 80, 1k, 2.9k and 1.4k with transcripts; 9.5k and 1.4k with translations."""
    recipe, config = planned(CHAR)
    sources = plan_sources(recipe, config)
    assert sum(source.size for source in sources if source.task == "speech") == pytest.approx(429_000, rel=0.001)
    draws = plan_draws(sources, config, LENGTHS, 1000)
    assert shares_of(draws, "asr") == pytest.approx(
        {
            name: hours / 6680
            for name, hours in {
                **{"voxpopuli": 1300, "mls_10_hours": 80, "babel": 1000},
                **{"covost2": 2900, "fleurs": 1400},
            }.items()
        }
    )
    assert shares_of(draws, "ast") == pytest.approx({"covost2": 9500 / 10_900, "fleurs": 1400 / 10_900})
    # 430 h of English in 15 languages, 861 h of 21 languages in English
    of_english = 15 * 430 / (15 * 430 + 861)
    covost = {item.direction: item.share for item in draws if (item.task, item.corpus) == ("ast", "covost2")}
    assert len(covost) == 15 + 21
    out_of_english = sum(share for direction, share in covost.items() if direction.startswith("en-"))
    assert out_of_english == pytest.approx(of_english * 9500 / 10_900) == pytest.approx(0.769, abs=0.001)
    assert covost["en-cy"] == pytest.approx(out_of_english / 15)
    assert covost["fr-en"] / covost["en-cy"] == pytest.approx(264 / 430)
    for task, temperature in (("text", 3.0), ("mt", 2.0), ("speech", 1.0), ("asr", 1.0), ("ast", 1.0)):
        assert config.temperature(task) == temperature
    documents = {source.lang: source.size for source in sources if source.task == "text"}
    texts = {item.direction: item.share for item in draws if item.task == "text"}
    assert texts["en"] / texts["cy"] == pytest.approx((documents["en"] / documents["cy"]) ** (1 / 3))


def test_draws_epochs_and_repetitions_add_up():
    recipe, _ = planned(CHAR)
    plan = build_plan(recipe, Hardware(num_devices=256))
    assert plan.examples_per_update == 3840 and plan.updates == 1_500_000
    totals = Counter()
    for item in plan.draws:
        totals[item.task] += item.draws
    shares = {"speech": 1024, "text": 2048, "asr": 256, "ast": 256, "mt": 256}  # 3.1
    assert totals == pytest.approx({task: share * 1_500_000 for task, share in shares.items()})
    english = next(item for item in plan.draws if item.corpus == "covost2" and item.direction == "en-de")
    hours = 9500 * 430 / (15 * 430 + 861)
    assert english.recorded == pytest.approx(hours)
    assert english.epochs == pytest.approx(english.draws * 8 / 3600 / hours)
    assert english.repetitions == pytest.approx(15 * english.epochs)
    unknown = [item for item in plan.draws if item.task == "mt"]
    assert unknown and all(item.epochs is None and item.hours is None for item in unknown)


def test_8_devices_accumulate_the_batch_of_256():
    whole, small = (
        build_plan(planned(path)[0], Hardware(num_devices=number)) for path, number in ((CHAR, 256), (CHAR_8, 8))
    )
    assert small.draws == whole.draws and small.examples_per_update == whole.examples_per_update
    assert small.device_hours == pytest.approx(whole.device_hours)
    assert small.days == pytest.approx(32 * whole.days)
    assert small.audio_megabytes_per_second == pytest.approx(whole.audio_megabytes_per_second / 32)
    everything = build_plan(planned(CHAR_8)[0], Hardware(num_devices=8, utilization=0.2))
    assert everything.days == pytest.approx(2 * small.days)


def test_operations_are_six_for_each_weight_and_position():
    """With short rows attention is negligible: 6 operations for each weight of layers and output layer."""
    recipe, config = planned(CHAR, "training.activation_checkpointing=false")
    only_texts = replace(config, shares={"text": 2})
    layers = 24 * (16 + 7) * 1024**2 + 6 * (8 + 8) * 1024**2
    output = 2 * 0.5 * 1024 * 5184
    short = count_flops(recipe, only_texts, MeanLengths(text_tokens=1.0))
    assert short == pytest.approx(6 * 2 * (layers + output), rel=1e-3)
    assert count_flops(recipe, only_texts, MeanLengths(text_tokens=2000.0)) > 1.1 * 2000 * short
    recomputed, _ = planned(CHAR)
    assert count_flops(recomputed, only_texts, MeanLengths(text_tokens=1.0)) == pytest.approx(4 / 3 * short)
    mslam, config = planned(MSLAM, "training.activation_checkpointing=false")
    layers, output = 16 * (16 + 7) * 1024**2, 0.5 * 1024 * 5184
    short = count_flops(mslam, replace(config, shares={"text": 1}), MeanLengths(text_tokens=1.0))
    assert short == pytest.approx(6 * (layers + output), rel=1e-3), "texts enter after the layers for speech"


def records_of(shard):
    """30 records of `task/corpus/lang/targets`."""
    task, corpus, lang, targets = shard.split("/")
    spoken = task in ("speech", "asr", "ast")
    for number in range(30):
        yield SpeechTextRecord(
            id=str(number),
            audio={"bytes": b"x", "path": None} if spoken else None,
            text="x",
            lang=lang,
            translations=dict.fromkeys(targets.split(",") if targets else (), "x"),
            duration_seconds=1.0 if spoken else None,
            corpus=corpus,
        )


def simulate(sources, config, num_updates):
    """Draws by task, corpus and direction in updates of one process, from small streams."""
    streams = []
    for source in sources:
        shard = f"{source.task}/{source.corpus}/{source.lang}/{','.join(source.targets)}"
        stream = ShardedStream([shard], records_of, name=shard)
        streams.append(
            StreamSource(task=source.task, corpus=source.corpus, lang=source.lang, size=source.size, stream=stream)
        )
    sampler = iter(StreamBatchSampler(streams, replace(config, max_seconds=None, max_tokens=None)))
    drawn = Counter()
    for _ in range(num_updates):
        for key in next(sampler):
            example = key.example
            task, lang = example.id.split(":")[0], example.source_lang
            if task == "ast":
                lang = f"{lang}-{example.targets[0].lang}"
            elif task == "mt":
                lang = next(code for code in (lang, example.targets[0].lang) if code != "en") + "-en"
            drawn[task, example.corpus, lang] += 1
    return drawn


def check_draws(drawn, draws):
    """Within 2 % of the plan, or two draws; the directions of one source take turns, and are off by one more each."""
    expected = Counter()
    for item in draws:
        expected[item.task, item.corpus, item.direction] += item.draws
    assert drawn.keys() <= expected.keys()
    for name, count in expected.items():
        assert drawn[name] == pytest.approx(count, rel=0.02, abs=3), name


@pytest.mark.parametrize("task", ["asr", "ast", "mt"])
def test_1000_draws_of_a_task_are_those_of_the_plan(task):
    recipe, config = planned(CHAR)
    config = replace(config, shares={task: 1})
    sources = plan_sources(recipe, config)
    check_draws(simulate(sources, config, 1000), plan_draws(sources, config, LENGTHS, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("path", [CHAR, MSLAM], ids=["mu2slam", "mslam"])
def test_10000_updates_draw_what_the_plan_says(path):
    recipe, config = planned(path)
    sources = plan_sources(recipe, config)
    check_draws(simulate(sources, config, 10_000), plan_draws(sources, config, LENGTHS, 10_000))


def test_tables_of_a_plan():
    recipe, _ = planned(CHAR_8)
    plan = build_plan(recipe, Hardware(num_devices=8))
    lines = format_plan(plan).splitlines()
    assert lines[0].split() == ["task", "corpus", "share", "draws", "hours", "epochs", "repetitions"]
    assert [line.split()[0] for line in lines[1:13]] == 4 * ["speech"] + ["text"] + 5 * ["asr"] + 2 * ["ast"]
    covost = next(line for line in lines if line.startswith("ast  ") and "covost2" in line).split()
    assert covost[2] == "87.16%" and float(covost[-1]) > 5 * float(covost[-2])
    directions = format_plan(plan, by_direction=True).splitlines()
    assert any(line.split()[:4] == ["ast", "covost2", "en-de", "5.13%"] for line in directions)
    assert len(directions) > 300 and directions[-3:] == lines[-3:]


def test_what_cannot_be_planned():
    with pytest.raises(RecipeError, match="of pre-training, not of one of kind finetuning"):
        load_planned_recipe(str(RECIPES / "mu2slam" / "finetune_tiny_test.yaml"), [])
    recipe, _ = planned(CHAR)
    with pytest.raises(RecipeError, match=r"training\.max_steps: a plan needs"):
        build_plan(planned(CHAR, "training.max_steps=0")[0], Hardware(num_devices=8))
    with pytest.raises(RecipeError, match=r"model\.config: costs are computed from"):
        build_plan(replace(recipe, model=replace(recipe.model, config=None)), Hardware(num_devices=8))
    for settings in ({"num_devices": 0}, {"num_devices": 8, "utilization": 0.0}):
        with pytest.raises(ValueError, match="must be above 0, got 0"):
            Hardware(**settings)
    with pytest.raises(ValueError, match="`text_tokens` must be above 0, got -1"):
        MeanLengths(text_tokens=-1)
