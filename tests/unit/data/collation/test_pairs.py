# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pairs for dual encoders: sources, targets, keys of equal texts, and what is left out."""

import torch
from tiny_dual_encoders import NUM_ROWS, build_processor

from mu2slam_hf.data.collation.pairs import PairCollator
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.records import SpeechTextRecord

SPOKEN = [
    SpeechTextRecord(id="1", audio="1.wav", text="good morning", lang="en", duration_seconds=1.0, speaker="a"),
    SpeechTextRecord(id="2", audio="2.wav", text="good morning", lang="en", duration_seconds=1.0, speaker="b"),
    SpeechTextRecord(id="3", audio="3.wav", text="buenos dias", lang="es", duration_seconds=1.0),
]
WRITTEN = [
    SpeechTextRecord(id=str(n), text=f"hello {n}", lang="en", translations={"fr": f"salut {n}"}) for n in range(8)
]


def items_of(records, task):
    examples = ExampleBuilder(tasks=[task], one_target=True).build(records)
    dataset = ExampleDataset(examples, reads_audio=False)
    return [dataset[index] for index in range(len(dataset))]


def decode(processor, ids):
    return processor.tokenizer.decode(ids[ids < NUM_ROWS], skip_special_tokens=True)


def test_recordings_are_sources_and_their_texts_targets():
    processor = build_processor()
    collate = PairCollator(processor, lambda example: [3, 5, 7])
    batch = collate(items_of(SPOKEN, "asr"))
    assert [decode(processor, row) for row in batch["input_ids"]] == ["[English Speech] "] * 2 + ["[Spanish Speech] "]
    assert (batch["input_ids"][0] - NUM_ROWS)[batch["input_ids"][0] >= NUM_ROWS].tolist() == [3, 5, 7]
    assert decode(processor, batch["target_ids"][2]) == "[Spanish Text] buenos dias"
    keys = batch["target_keys"].tolist()
    assert keys[0] == keys[1] != keys[2] and batch["is_pair"].all()


def test_the_pivot_language_is_the_target_of_all_pairs_of_texts():
    processor = build_processor()
    items = items_of(WRITTEN, "mt")
    assert {item.drawn.example.source_lang for item in items} == {"en", "fr"}
    batch = PairCollator(processor, lambda example: None)(items)
    assert all(decode(processor, row).startswith("[French Text] salut") for row in batch["input_ids"])
    assert all(decode(processor, row).startswith("[English Text] hello") for row in batch["target_ids"])
    as_drawn = PairCollator(processor, lambda example: None, pivot_language=None)(items)
    assert any(decode(processor, row).startswith("[English Text]") for row in as_drawn["input_ids"])


def test_what_has_no_ids_does_not_count_and_a_batch_is_never_empty():
    processor = build_processor()
    items = items_of(SPOKEN, "asr")
    some = PairCollator(processor, lambda example: None if example.record.id == "2" else [1])(items)
    assert len(some["record_ids"]) == len(some["input_ids"]) == 2 and some["is_pair"].tolist() == [True, True]
    none = PairCollator(processor, lambda example: None)(items)
    assert none["is_pair"].tolist() == [False] and none["record_ids"] == []
    assert none["input_ids"].shape == none["target_ids"].shape


def test_languages_are_left_out_of_some_prefixes_by_draws_that_are_the_same_again():
    processor = build_processor()
    items = items_of(WRITTEN * 1, "mt") * 8
    collate = PairCollator(processor, lambda example: None, undetermined_ratio=0.5, seed=1)
    first, second = collate(items), collate(items)
    assert torch.equal(first["input_ids"], second["input_ids"])
    starts = [decode(processor, row)[:6] for row in (*first["input_ids"], *first["target_ids"])]
    assert 0.2 < sum(start == "[Text]" for start in starts) / len(starts) < 0.8
