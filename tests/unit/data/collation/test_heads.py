# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from pretraining_batches import PROCESSOR, build_item

from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.collation.supervised import SupervisedCollator

TOKENIZER = PROCESSOR.tokenizer
CLASSES = ["es", "fr", "it", "en"]


def item(target, name="a", **source):
    return build_item(name, targets=(("asr", "es", target),), **source)


def test_speech_with_classes():
    batch = HeadCollator(PROCESSOR, labels=CLASSES)([item("it", "b", samples=1600), item("es", samples=321)])
    assert batch.keys() == {"input_features", "attention_mask", "labels", "record_ids"}
    assert batch["input_features"].shape == (2, 10, 80) and batch["labels"].tolist() == [2, 0]
    assert batch["attention_mask"].sum(dim=1).tolist() == [10, 3] and batch["record_ids"] == ["b", "a"]


def test_speech_with_transcripts():
    batch = HeadCollator(PROCESSOR)([item(text, samples=1600) for text in ("se", "a\u4e00", "")])
    ids = TOKENIZER("sea", add_special_tokens=False).input_ids
    assert batch["labels"].tolist() == [ids[:2], [ids[2], -100], [-100, -100]]
    assert batch["source_language_labels"].tolist() == [PROCESSOR.language_row("en")] * 3
    other = HeadCollator(PROCESSOR)([build_item(lang="mdw", targets=(("asr", "mdw", "se"),), samples=1600)])
    assert other["source_language_labels"].tolist() == [-100], "a language that the processor does not have"


def test_masks_are_those_of_supervised_training():
    items = [item(text, samples=16000) for text in ("se", "a")]
    masks = SpecAugment(SpecAugmentConfig(max_time_mask_frames=10, max_frequency_mask_bins=8), seed=1)
    plain, masked = (HeadCollator(PROCESSOR, spec_augment=value)(items) for value in (None, masks))
    # Masked cells are zero, all others as they were; labels and lengths do not change.
    changed = plain["input_features"] != masked["input_features"]
    assert changed.any(dim=(1, 2)).all() and not masked["input_features"][changed].any()
    for name in ("labels", "attention_mask", "source_language_labels"):
        assert torch.equal(plain[name], masked[name])
    supervised = SupervisedCollator(PROCESSOR, spec_augment=masks)(items)
    assert torch.equal(supervised["input_features"], masked["input_features"])


def test_texts_end_as_the_processor_ends_them():
    batch = HeadCollator(PROCESSOR, labels=CLASSES)([item("en", text="se"), item("fr", text="sea")])
    expected = PROCESSOR(text=["se", "sea"])
    assert batch["input_ids"].equal(expected["input_ids"])
    assert batch["attention_mask"].equal(expected["attention_mask"]) and batch["labels"].tolist() == [3, 1]


def test_nothing_usable_is_one_row_without_a_class():
    assert HeadCollator(PROCESSOR, labels=CLASSES)([build_item(error="bad file")])["labels"].tolist() == [-100]


@pytest.mark.parametrize(
    "items, message",
    [
        (
            [item("es", samples=800), item("es", text="a")],
            "sources of one modality in a batch, got recordings and texts",
        ),
        ([item("de", "utt", text="a")], "utt: expected one of the classes es, fr, it, en, got 'de'"),
    ],
)
def test_faults(items, message):
    with pytest.raises(ValueError, match=message):
        HeadCollator(PROCESSOR, labels=CLASSES)(items)
