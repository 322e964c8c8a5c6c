# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch._utils import ExceptionWrapper

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.augmentation import WaveformAugmentationConfig, WaveformAugmenter
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.failures import TooManyBadRecordsError
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture
from mu2slam_hf.data.tones import write_tone_corpus

AUGMENTATION = WaveformAugmentationConfig(
    speed_factors=(0.9, 1.0, 1.1), gain_prob=0.5, noise_prob=0.5, band_limit_prob=0.5, concatenate_prob=0.5
)
OPTIONS = DrawOptions(max_targets=2, undetermined_source_ratio=0.3)
LIMITS = BatchLimits(max_seconds=6.0)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    return read_manifest(write_tone_corpus(folder, num_sentences=10, languages=("en", "fr", "es")), corpus="tones")


@pytest.fixture(scope="module")
def examples(records):
    return ExampleBuilder().build(records)


def build(examples, **kwargs):
    given = {"augmenter": WaveformAugmenter(AUGMENTATION), "limits": LIMITS, "cache": AudioCache()} | kwargs
    return ExampleDataset(
        examples, kwargs.pop("options", OPTIONS), **{k: v for k, v in given.items() if k != "options"}
    )


def test_costs_are_what_comes_out(examples):
    dataset = build(examples)
    joined = 0
    for index in range(len(examples)):
        for epoch in range(3):
            item = dataset[DrawKey(index, epoch)]
            cost = dataset.cost_of(DrawKey(index, epoch))
            # joined texts too: the space between them takes the place of the first one's `</s>`
            assert cost.target_tokens == sum(len(target.text) + 1 for target in item.drawn.targets)
            if item.waveform is None:
                assert item.drawn.example.source_modality == "text" and cost.seconds == 0
                continue
            assert len(item.waveform) / 16_000 == pytest.approx(cost.seconds, abs=2e-3)
            assert cost.seconds <= LIMITS.max_seconds
            joined += len(item.drawn.parts) == 2
    assert joined > 10


def test_concatenation_joins_text_and_sound(examples):
    config = WaveformAugmentationConfig(concatenate_prob=1.0, concatenate_gap_seconds=(0.2, 0.2))
    dataset = build(examples, augmenter=WaveformAugmenter(config), options=DrawOptions())
    plain = build(examples, augmenter=None, options=DrawOptions())
    for index, example in enumerate(examples):
        item = dataset[DrawKey(index)]
        if example.source_modality == "text":
            assert len(item.drawn.parts) == 1
            continue
        first, second = item.drawn.parts
        assert first is example and second.source_lang == first.source_lang
        for target in item.drawn.targets:
            texts = [t.text for part in (first, second) for t in part.targets if t.lang == target.lang]
            assert target.text == " ".join(texts)
        alone = [plain[DrawKey(examples.index(part))].waveform for part in (first, second)]
        assert np.array_equal(item.waveform, np.concatenate([alone[0], np.zeros(3200), alone[1]]).astype(np.float32))


def test_same_for_any_number_of_workers(examples):
    wanted = None
    for num_workers in (0, 1, 2):
        dataset = build(examples)
        plan = BucketedPlan(Mixture(examples), dataset.cost_of, LIMITS, seed=1)
        loader = torch.utils.data.DataLoader(
            dataset,
            batch_sampler=[batch for (batch,) in plan.plan(0)],
            num_workers=num_workers,
            collate_fn=describe_items,
        )
        got = list(loader)
        wanted = wanted or got
        assert got == wanted
        assert dataset.failures.attempts == sum(e.source_modality == "speech" for e in examples)


def describe_items(items):
    return [
        (item.drawn.source_lang, item.drawn.targets, None if item.waveform is None else item.waveform.tobytes())
        for item in items
    ]


def test_targets_and_source_language_are_drawn_per_epoch(examples):
    dataset = build(examples)
    langs, told = Counter(), Counter()
    for epoch in range(200):
        drawn = dataset.draw(DrawKey(0, epoch))
        assert len(drawn.targets) == 2
        langs.update(target.lang for target in drawn.targets)
        told[drawn.source_lang] += 1
    assert set(langs) == {"en", "es", "fr"} and min(langs.values()) > 90
    assert abs(told["und"] / 200 - 0.3) < 0.1
    copies = {tuple(dataset.draw(DrawKey(0, 0, copy)).targets) for copy in range(20)}
    assert len(copies) > 1


def test_target_budget_drops_targets_not_the_example(examples):
    dataset = build(examples, options=DrawOptions(), limits=BatchLimits(max_target_tokens=25))
    for index in range(len(examples)):
        drawn = dataset.draw(DrawKey(index))
        assert len(drawn.targets) == 1 or drawn.cost.target_tokens <= 25


def test_bad_recordings_are_counted_and_named(records, tmp_path, caplog):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFFoops")
    poisoned = [replace(record, id=f"bad{place}", audio=str(broken)) for place, record in enumerate(records[:3])]
    longest = max(records, key=lambda record: record.duration_seconds)
    wrong_length = replace(longest, id="long", duration_seconds=0.01)
    examples = ExampleBuilder(tasks=["asr"]).build([*records, *poisoned, wrong_length])
    dataset = build(examples, augmenter=None, max_failed_share=0.2)
    items = [dataset[index] for index in range(len(examples))]
    failed = [item for item in items if item.error]
    assert len(failed) == 4 and all(item.waveform is None for item in failed)
    assert (dataset.failures.attempts, dataset.failures.failures) == (34, 4)
    assert "bad0" in caplog.text and "broken.wav" in caplog.text and "expected 0.01 s by the manifest" in caplog.text
    with pytest.raises(TooManyBadRecordsError, match=r"10 of \d+ records.*broken\.wav"):
        for _ in range(4):
            for index in range(30, 33):
                dataset[index]


def test_the_error_survives_the_way_out_of_a_loader_process():
    try:
        raise TooManyBadRecordsError("10 of 30 recordings")
    except TooManyBadRecordsError:
        wrapper = ExceptionWrapper(where="in a loader process")  # how DataLoader hands errors on
    with pytest.raises(TooManyBadRecordsError, match="10 of 30 recordings"):
        pickle.loads(pickle.dumps(wrapper)).reraise()


def in_memory(example):
    """The same example with the bytes of its file in the place of the path."""
    if example.record is None:
        return example
    data = {"bytes": Path(example.record.audio).read_bytes(), "path": None}
    return replace(example, record=replace(example.record, audio=data))


def test_the_key_of_a_stream_gives_the_same_item(examples):
    options = DrawOptions(undetermined_source_ratio=0.3)
    table, stream = ExampleDataset(examples, options, seed=5), ExampleDataset((), options, seed=5)
    told = set()
    for index, example in enumerate(examples):
        for epoch in range(2):
            one = table[DrawKey(index, epoch, step=7)]
            key = pickle.loads(pickle.dumps(DrawKey(in_memory(example), epoch, step=7)))
            two = stream[key]
            assert one.drawn.source_lang == two.drawn.source_lang and two.drawn.key.step == 7
            told.add(one.drawn.source_lang)
            if one.waveform is not None:
                np.testing.assert_array_equal(one.waveform, two.waveform)
    assert told == {"en", "fr", "es", "und"}


def test_a_band_limit_removes_what_is_above_it(tmp_path):
    time = np.arange(16_000) / 16_000
    low, high = (0.1 * np.sin(2 * np.pi * hertz * time) for hertz in (1000, 6000))
    soundfile.write(tmp_path / "a.wav", low + high, 16_000, subtype="FLOAT")
    record = SpeechTextRecord(id="a", audio=str(tmp_path / "a.wav"), duration_seconds=1.0)
    example = ExampleBuilder(tasks=["speech"], one_target=True).examples_of(record)
    plain, limited = (ExampleDataset(example, band_limit_hz=hertz)[0].waveform for hertz in (None, 4000))
    np.testing.assert_allclose(plain, low + high, atol=1e-4)
    np.testing.assert_allclose(limited[500:-500], low[500:-500], atol=2e-3)
    with pytest.raises(ValueError, match="`band_limit_hz` must be in .* got 9000"):
        ExampleDataset(band_limit_hz=9000)
