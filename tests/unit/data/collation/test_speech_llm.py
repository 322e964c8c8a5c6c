# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batches of prompts: draws of prompts, mixed tasks, batches without a usable item; and their loss."""

from collections import Counter

import pytest
import torch
from tiny_speech_llm import KINDS, make_speech_llm

from mu2slam_hf.data.collation.speech_llm import PromptCollator
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.models.task_prompts import TRAINING_PROMPTS
from mu2slam_hf.training.objectives.speech_llm import SpeechLLMObjective


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ExampleDataset:
    records = read_manifest(write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=3))
    examples = [
        example
        for task in ("asr", "ast", "mt")
        for example in ExampleBuilder(tasks=[task], one_target=True).build(records)[:4]
    ]
    return ExampleDataset(examples, seed=0)


def test_every_prompt_is_drawn_equally_often_and_for_the_draw_alone(dataset):
    processor = make_speech_llm()[1]
    collator = PromptCollator(processor, prompts=TRAINING_PROMPTS, seed=3)
    prompts = [collator.build_prompt(dataset[DrawKey(0, epoch=epoch)]) for epoch in range(2500)]
    counts = Counter(prompts)
    assert len(counts) == 25
    # Chi-square with 24 degrees of freedom: above 51.2 with probability 0.001.
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 51.2
    again = PromptCollator(processor, prompts=TRAINING_PROMPTS, seed=3)
    assert [again.build_prompt(dataset[DrawKey(0, epoch=epoch)]) for epoch in (7, 3)] == [prompts[7], prompts[3]]
    other = PromptCollator(processor, prompts=TRAINING_PROMPTS, seed=4)
    assert [other.build_prompt(dataset[DrawKey(0, epoch=epoch)]) for epoch in range(20)] != prompts[:20]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_mixed_batch_is_that_of_its_rows(dataset, kind):
    """Naive reference: each example alone, the text model's own loss times its number of targets."""
    model, processor = make_speech_llm(kind)
    processor.languages = ["und", "en", "fr"]
    collator = PromptCollator(processor, prompts=TRAINING_PROMPTS)
    items = [dataset[DrawKey(index)] for index in (0, 9, 5, 8, 1)]
    batch = collator(items)
    objective = SpeechLLMObjective(model)
    sums = objective.sum(objective.forward(model, batch, 0), batch, is_training=True)
    counts = objective.count(batch)
    expected = {name: (0.0, 0) for name in sums}
    for item in items:
        alone = collator([item])
        labels = alone["labels"]
        loss = model(**objective.inputs_of(alone), labels=labels).loss
        number = int((labels >= 0).sum())
        name = f"{item.drawn.task}_decoder"
        expected[name] = (expected[name][0] + float(loss.detach()) * number, expected[name][1] + number)
    for name, (total, number) in expected.items():
        assert number > 0 and int(counts[name]) == number
        torch.testing.assert_close(float(sums[name].detach()), total, rtol=1e-4, atol=1e-4)
    seconds = sum(item.drawn.example.duration_seconds for item in items if item.drawn.task != "mt")
    assert objective.count_speech_seconds(batch) == pytest.approx(seconds, abs=0.08 * len(items))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_usable_items_has_no_loss(dataset, kind):
    model, processor = make_speech_llm(kind)
    item = dataset[DrawKey(0)]
    object.__setattr__(item, "error", "unreadable")
    batch = PromptCollator(processor, prompts=TRAINING_PROMPTS)([item])
    objective = SpeechLLMObjective(model)
    sums = objective.sum(objective.forward(model, batch, 0), batch, is_training=True)
    assert batch["record_ids"] == [] and not any(int(count) for count in objective.count(batch).values())
    assert all(float(value) == 0 for value in sums.values())
