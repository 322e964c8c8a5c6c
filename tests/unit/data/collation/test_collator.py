# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What all collators have in common: items that are left out, transcripts, front ends, padding."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pretraining_batches import PROCESSOR, build_item
from torch.utils.data import DataLoader
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.collation.mslam import MSLAMCollator
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.collation.padding import pad_rows
from mu2slam_hf.data.collation.supervised import SupervisedCollator
from mu2slam_hf.data.masking import MaskingConfig
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.span_masking import MSLAMMaskingConfig
from mu2slam_hf.models.modules_lengths import encoder_length

COLLATORS = {
    "supervised": SupervisedCollator,
    "mu2slam": lambda *args, **kwargs: Mu2SLAMPreTrainingCollator(*args, seed=0, **kwargs),
    "mslam": lambda *args, **kwargs: MSLAMCollator(*args, seed=0, **kwargs),
    "heads": HeadCollator,
}
EXTRACTORS = {"stacked_frames": SeamlessM4TFeatureExtractor, "waveform": Wav2Vec2FeatureExtractor}
ALL = pytest.mark.parametrize("kind", COLLATORS)


def transcribed(text="een", samples=16_000, name="utt7", **given):
    return build_item(name, samples=samples, targets=(("asr", "en", text),), **given)


def labels_of(kind, batch):
    return batch["labels" if kind == "heads" else "ctc_labels"]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key], key


@ALL
def test_failed_items_are_left_out(kind):
    collator, good, bad = COLLATORS[kind](PROCESSOR), transcribed("on"), transcribed(waveform=None, error="bad file")
    batch = collator([bad, good, bad])
    assert_equal(batch, collator([good]))
    empty = collator([bad])
    assert empty.keys() == batch.keys() and empty.get("record_ids", []) == []
    assert empty["input_features"].shape[0] == 1 and empty["attention_mask"].sum() > 0, "silence"
    for name in batch:
        if name.endswith("labels"):
            assert not (empty[name] >= 0).any(), name
    assert (empty.get("task_ids", torch.tensor(-1)) == -1).all()


@ALL
@pytest.mark.parametrize("samples, fits", [(2080, True), (1920, False)])
def test_transcripts_longer_than_the_encoder_output_are_counted(kind, samples, fits, caplog):
    # "een" needs e, blank, e, n: ceil(ceil(13 / 2) / 2) = 4 frames of 10 ms features, 12 of them give 3.
    collator = COLLATORS[kind](PROCESSOR)
    batch = collator([transcribed(samples=samples), transcribed("", name="silent")])
    ids = PROCESSOR.tokenizer("een", add_special_tokens=False).input_ids
    assert labels_of(kind, batch)[0].tolist() == (ids if fits else [-100])
    assert not (labels_of(kind, batch)[1:] >= 0).any()
    assert collator.num_ctc_too_long == int(not fits)
    message = "utt7: the transcript needs 4 encoder frames, got 3; it has no CTC loss"
    assert (message in caplog.text) != fits and "silent" not in caplog.text


def test_a_transducer_may_have_more_labels_than_frames(caplog):
    # Three labels in two frames; and in one, which has room for two.
    for samples, fits in ((1280, True), (320, False)):
        collator = HeadCollator(PROCESSOR, max_symbols_per_frame=2)
        batch = collator([transcribed(samples=samples)])
        assert (batch["labels"] >= 0).any() == fits
        assert collator.num_ctc_too_long == int(not fits)
    assert "the transcript needs 2 encoder frames, got 1; it has no transducer loss" in caplog.text


@ALL
@pytest.mark.parametrize("frontend", EXTRACTORS)
def test_front_ends_of_imported_encoders(kind, frontend):
    """Two 10 ms frames in one, or waveforms: 50 encoder frames a second, padded to a multiple, under its own name."""
    processor = SimpleNamespace(
        feature_extractor=EXTRACTORS[frontend](), tokenizer=PROCESSOR.tokenizer, languages=PROCESSOR.languages
    )
    config = ConformerEncoderConfig(frontend=frontend)
    collator = COLLATORS[kind](processor, encoder_config=config, pad_frames_to_multiple_of=7)
    batch = collator([transcribed("marque" * 6 + "marq"), transcribed(samples=401)])
    assert (labels_of(kind, batch)[0] >= 0).sum() == 40, "too many labels for 25 frames a second, not for 50"
    speech = batch["input_values" if frontend == "waveform" else "input_features"]
    assert speech.dtype == torch.float32 and len({"input_values", "input_features"} & set(batch)) == 1
    assert speech.shape[1] % 7 == 0 and speech.shape[:2] == batch["attention_mask"].shape
    assert encoder_length(batch["attention_mask"].sum(dim=1), config).tolist() == [49, 1]
    silent = collator([build_item(error="bad file")])
    assert encoder_length(silent["attention_mask"].sum(dim=1), config).tolist() == [1]


@ALL
def test_features_are_those_of_the_extractor_alone(kind):
    items = [transcribed(samples=samples) for samples in (16_000, 7_777)]
    batch = COLLATORS[kind](PROCESSOR, pad_frames_to_multiple_of=32)(items)
    assert batch["input_features"].shape[1] == batch["attention_mask"].shape[1] == 128
    assert batch["attention_mask"].sum(dim=1).tolist() == [100, 49]
    for features, mask, item in zip(batch["input_features"], batch["attention_mask"], items, strict=True):
        alone = PROCESSOR.feature_extractor(item.waveform, sampling_rate=16_000, return_tensors="pt")["input_features"]
        torch.testing.assert_close(features[: mask.sum()], alone[0], atol=1e-5, rtol=0)
        assert (features[mask.sum() :] == 0).all()


@ALL
def test_batches_are_the_same_with_any_number_of_workers(kind):
    items = [transcribed("on", name=str(number), samples=3_000 + 500 * number) for number in range(6)]
    alone, loaded = (
        list(DataLoader(items, batch_size=3, collate_fn=COLLATORS[kind](PROCESSOR), num_workers=number))
        for number in (0, 2)
    )
    for one, other in zip(alone, loaded, strict=True):
        assert_equal(one, other)


@ALL
def test_typed_special_tokens_stay_text(kind):
    ids = set(labels_of(kind, COLLATORS[kind](PROCESSOR)([transcribed("</s><speech_5>")])).flatten().tolist())
    tokenizer = PROCESSOR.tokenizer
    assert len(ids) > 2 and min(ids - {tokenizer.unk_token_id, -100}) >= tokenizer.text_token_offset


@pytest.mark.parametrize("kind, config", [("mu2slam", MaskingConfig), ("mslam", MSLAMMaskingConfig)])
def test_masks_follow_the_schedule(kind, config):
    linear = config(schedule="linear", schedule_steps=10)
    collator = COLLATORS[kind](PROCESSOR, masking=linear)
    for step in (0, 4, 9, 40):
        key = DrawKey(0, step=step)
        items = [transcribed("on", samples=64_000, key=key), build_item("t", text="press one", key=key)]
        constant = replace(linear.at_step(step), schedule="constant")
        assert_equal(collator(items), COLLATORS[kind](PROCESSOR, masking=constant)(items))
    assert constant == config(schedule_steps=10)


@ALL
def test_faults(kind):
    build = COLLATORS[kind]
    with pytest.raises(ValueError, match="utt7: a speech item must have a waveform"):
        build(PROCESSOR)([transcribed(waveform=None)])
    for name in ("pad_to_multiple_of", "pad_frames_to_multiple_of"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
            build(PROCESSOR, **{name: 0})
    processor = SimpleNamespace(feature_extractor=SeamlessM4TFeatureExtractor(), tokenizer=PROCESSOR.tokenizer)
    for config in (None, ConformerEncoderConfig(frontend="waveform")):
        with pytest.raises(ValueError, match="do not match: the model has the front end"):
            build(processor, encoder_config=config)
    narrow = ConformerEncoderConfig(frontend="stacked_frames", num_mel_bins=40)
    with pytest.raises(ValueError, match="the model expects frames of size 80, Seamless.* creates size 160"):
        build(processor, encoder_config=narrow)


def test_padding():
    rows = [[1, 2, 3], np.array([4])]
    assert pad_rows(rows, -1).tolist() == [[1, 2, 3], [4, -1, -1]] and pad_rows(rows, 0).dtype == torch.int64
    assert pad_rows(rows, 0, 4).tolist() == [[1, 2, 3, 0], [4, 0, 0, 0]]
    assert pad_rows([[]], 0, 3).tolist() == pad_rows([], 0, 3).tolist() == [[0, 0, 0]]
