# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.failures import TooManyBadRecordsError
from mu2slam_hf.data.examples.pretraining_examples import build_pretraining_examples
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.task_mixture import TaskMixtureSampler
from mu2slam_hf.data.testing import write_tone_corpus
from mu2slam_hf.models.task_types import PRETRAINING_TASKS


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    records = read_manifest(write_tone_corpus(folder, num_sentences=10, languages=("en", "fr", "es")), corpus="tones")
    return [example for task in PRETRAINING_TASKS for example in build_pretraining_examples(records, task)]


def in_memory(example):
    """The same example with the bytes of its file in the place of the path."""
    if example.record is None:
        return example
    data = {"bytes": Path(example.record.audio).read_bytes(), "path": None}
    return replace(example, record=replace(example.record, audio=data))


def test_items_of_all_tasks(examples):
    dataset = ExampleDataset(examples, cache=AudioCache())
    for index, example in enumerate(examples):
        item = dataset[index]
        assert item.error is None and item.drawn.example is example and item.drawn.targets == example.targets
        if example.source_modality == "speech":
            assert len(item.waveform) == pytest.approx(16_000 * example.duration_seconds, abs=16)
        else:
            assert item.waveform is None


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


def test_the_share_of_draws_without_a_source_language(examples):
    for ratio, expected in ((0.0, 0.0), (0.3, 0.3), (1.0, 1.0)):
        dataset = ExampleDataset(examples, DrawOptions(undetermined_source_ratio=ratio))
        draws = [dataset.draw(DrawKey(index, epoch)) for index in range(len(examples)) for epoch in range(20)]
        share = sum(drawn.source_lang == "und" for drawn in draws) / len(draws)
        assert share == pytest.approx(expected, abs=0.03)
        assert all(drawn.example.source_lang != "und" for drawn in draws)


def test_corrupt_audio_is_counted_and_named_until_it_is_too_much(examples, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(Path(examples[0].record.audio).read_bytes()[:100])
    bad = replace(examples[0], record=replace(examples[0].record, audio=str(broken)))
    dataset = ExampleDataset([bad, examples[1]], max_failed_share=0.4)
    item = dataset[0]
    assert item.waveform is None and examples[0].id in item.error and "cut off" in item.error
    for _ in range(20):
        assert dataset[1].error is None
    assert (dataset.failures.attempts, dataset.failures.failures) == (21, 1)
    with pytest.raises(TooManyBadRecordsError, match="more than the share of 0.4 allowed.*cut off"):
        for _ in range(30):
            dataset[DrawKey(bad)]


def test_through_a_loader_with_workers(examples):
    sampler = TaskMixtureSampler(examples)
    wanted = list(islice(TaskMixtureSampler(examples), 4))
    loader = DataLoader(ExampleDataset(examples), batch_sampler=sampler, collate_fn=list, num_workers=2)
    for batch, keys in zip(loader, wanted, strict=False):
        assert [item.drawn.key for item in batch] == keys
        assert {item.drawn.example.task for item in batch} == set(PRETRAINING_TASKS)
