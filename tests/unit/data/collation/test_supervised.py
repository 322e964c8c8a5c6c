# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import inspect
from types import SimpleNamespace

import pytest
import torch
from pretraining_batches import build_item

from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.supervised import PackedTarget, SupervisedCollator, pack_targets
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

TOKENIZER = Mu2SLAMTokenizer.train_from_iterator(["abcdefgh"], vocab_size=20, num_speech_tokens=8)
PROCESSOR = SimpleNamespace(
    feature_extractor=Mu2SLAMFeatureExtractor(), tokenizer=TOKENIZER, languages=["und", "en", "fr", "pt"]
)
DECODER_KEYS = {
    *("decoder_input_ids", "labels", "decoder_sequence_ids", "decoder_position_ids", "decoder_language_ids"),
    *(
        "decoder_modality_ids",
        "decoder_source_ids",
        "task_ids",
        "language_ids",
        "source_language_labels",
        "record_ids",
    ),
}


def item(samples=16_000, targets=(("asr", "en", "ab"),), **given):
    return build_item(samples=None if "text" in given else samples, targets=targets, **given)


def collate(*items, **options):
    return SupervisedCollator(PROCESSOR, **options)(items)


def test_packing_by_hand():
    rows = [
        [
            PackedTarget([70, 71], language_id=1, task_id=0, prompt=[1]),
            PackedTarget([72], language_id=2, task_id=1, prompt=[1]),
        ],
        [PackedTarget([], language_id=3, task_id=2, prompt=[1])],
    ]
    packed = pack_targets(rows, eos_token_id=2, pad_token_id=0, pad_to_multiple_of=4)
    wanted = {
        "decoder_input_ids": [[1, 70, 71, 1, 72, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "labels": [[70, 71, 2, 72, 2, -100, -100, -100], [2, *[-100] * 7]],
        "decoder_sequence_ids": [[1, 1, 1, 2, 2, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]],
        "decoder_position_ids": [[0, 1, 2, 0, 1, 0, 0, 0], [0] * 8],
        "decoder_language_ids": [[1, 1, 1, 2, 2, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]],
        "task_ids": [[0, 0, 0, 1, 1, -1, -1, -1], [2, *[-1] * 7]],
        "decoder_modality_ids": [[1] * 8] * 2,
        "decoder_source_ids": [[1] * 8] * 2,
    }
    assert {name: values.tolist() for name, values in packed.items()} == wanted
    assert {values.dtype for values in packed.values()} == {torch.int64}


def test_speech_batch():
    batch = collate(
        item(16_000, (("asr", "en", "abc"), ("ast", "fr", "de")), told="und"),
        item(8_001, (("ast", "pt-BR", "h"),), lang="fr"),
        item(4_000, (("asr", "und", "ff"),), lang="und"),
    )
    assert set(batch) == DECODER_KEYS | {"input_features", "attention_mask", "ctc_labels"}
    assert batch["input_features"].shape == (3, 100, 80) and batch["input_features"].dtype == torch.float32
    assert batch["attention_mask"].sum(dim=1).tolist() == [100, 51, 25]
    assert batch["language_ids"].tolist() == [0, 2, 0]
    assert batch["source_language_labels"].tolist() == [1, 2, -100]
    a, b, c, f = TOKENIZER("abcf", add_special_tokens=False)["input_ids"]
    assert batch["ctc_labels"].tolist() == [[a, b, c], [-100] * 3, [f, f, -100]]
    assert batch["decoder_sequence_ids"].tolist()[0] == [1, 1, 1, 1, 2, 2, 2]
    assert batch["decoder_language_ids"].tolist()[1] == [3, 3, 0, 0, 0, 0, 0]
    assert batch["task_ids"].tolist()[0] == [0] * 4 + [1] * 3 and batch["record_ids"] == ["x", "x", "x"]
    real = batch["labels"] != -100
    assert torch.equal(real, batch["decoder_sequence_ids"] > 0) and torch.equal(real, batch["task_ids"] >= 0)


def test_every_key_is_an_input_of_the_model():
    known = set(inspect.signature(Mu2SLAMForConditionalGeneration.forward).parameters) | {"task_ids", "record_ids"}
    for one in (item(), item(text="a", targets=(("mt", "fr", "b"),))):
        assert set(collate(one)) <= known


def test_text_batch_is_what_the_tokenizer_gives():
    items = [item(text="abc", targets=(("mt", "fr", "d"),)), item(text="a", lang="fr", targets=(("mt", "en", "hh"),))]
    batch = collate(*items, pad_to_multiple_of=8)
    assert set(batch) == DECODER_KEYS | {"input_ids", "attention_mask"}
    assert batch["input_ids"].shape == batch["labels"].shape == (2, 8)
    for row, text in enumerate(("abc", "a")):
        ids = TOKENIZER(text)["input_ids"]
        assert batch["input_ids"][row, : len(ids)].tolist() == ids
        assert batch["attention_mask"][row].tolist() == [1] * len(ids) + [0] * (8 - len(ids))
    assert batch["task_ids"][0].tolist()[:3] == [2, 2, -1]


def test_spec_augment_starts_at_its_step():
    spec_augment = SpecAugment(SpecAugmentConfig(from_step=10, num_time_masks=4, max_time_mask_frames=30))
    early, late = ([item(key=key), item(8_000, name="y", key=key)] for key in (DrawKey(0), DrawKey(0, step=10)))
    assert torch.equal(collate(*early, spec_augment=spec_augment)["input_features"], collate(*early)["input_features"])
    masked, plain = collate(*late, spec_augment=spec_augment), collate(*late)
    changed = masked["input_features"] != plain["input_features"]
    assert changed.any() and (masked["input_features"][changed] == 0).all()
    assert torch.equal(masked["attention_mask"], plain["attention_mask"])


@pytest.mark.parametrize(
    "items, message",
    [([], "expected at least one example"), ([item(lang="it")], "'it'")],
)
def test_faults(items, message):
    with pytest.raises(ValueError, match=message):
        collate(*items)
