# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Batches of speech and text together are those of each, side by side."""

from types import SimpleNamespace

import torch
from pretraining_batches import build_item

from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

TOKENIZER = Mu2SLAMTokenizer.train_from_iterator(["abcdefgh"], vocab_size=20, num_speech_tokens=8)
COLLATOR = SupervisedCollator(
    SimpleNamespace(feature_extractor=Mu2SLAMFeatureExtractor(), tokenizer=TOKENIZER, languages=["und", "en", "fr"])
)
SPEECH = [
    build_item("one", samples=8000, targets=[("asr", "en", "ab")]),
    build_item("two", samples=4001, targets=[("ast", "fr", "abc")]),
]
TEXT = [build_item("three", text="abc", targets=[("mt", "fr", "gh")])]


def test_each_part_is_a_supervised_batch():
    batch = COLLATOR([SPEECH[0], TEXT[0], SPEECH[1]])
    assert set(batch) == {"speech", "text", "record_ids"} and batch["record_ids"] == ["one", "two", "three"]
    for name, items in (("speech", SPEECH), ("text", TEXT)):
        expected = COLLATOR(items)
        assert batch[name].keys() == expected.keys()
        for key, value in expected.items():
            found = batch[name][key]
            assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value
