# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import inspect

import numpy as np
import pytest
import torch

from mu2slam_hf.data.augmentation import SpecAugment, SpecAugmentConfig
from mu2slam_hf.data.collation.supervised import NON_MODEL_KEYS, MultitaskCollator, PackedTarget, pack_targets
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMForConditionalGeneration
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTokenizer

LANGUAGES = ["und", "en", "fr", "pt"]
DECODER_KEYS = {
    "decoder_input_ids",
    "labels",
    "decoder_sequence_ids",
    "decoder_position_ids",
    "decoder_language_ids",
    "decoder_modality_ids",
    "decoder_source_ids",
    "task_ids",
}


@pytest.fixture(scope="module")
def tokenizer():
    return Mu2SLAMTokenizer.train_from_iterator(["abcdefgh"], vocab_size=20, num_speech_tokens=8)


@pytest.fixture(scope="module")
def build(tokenizer):
    def build_collator(**kwargs):
        given = {"feature_extractor": Mu2SLAMFeatureExtractor(), "tokenizer": tokenizer, "languages": LANGUAGES}
        return MultitaskCollator(**(given | kwargs))

    return build_collator


def item(num_samples=16_000, targets=(("asr", "en", "ab"),), lang="en", told=None, text=None, name="x", **kwargs):
    example = Example(
        id=name,
        source_modality="speech" if text is None else "text",
        source_lang=lang,
        source_text=text,
        targets=tuple(
            Target(task=task, lang=code, text=words, num_tokens=len(words) + 1) for task, code, words in targets
        ),
    )
    drawn = DrawnExample(
        key=DrawKey(0, 0, 0, kwargs.pop("step", 0)),
        example=example,
        parts=(example,),
        gap_seconds=0.0,
        speed_factor=1.0,
        source_lang=told or lang,
        targets=example.targets,
    )
    generator = np.random.default_rng(num_samples)
    waveform = 0.1 * generator.standard_normal(num_samples).astype(np.float32) if text is None else None
    return Item(drawn=drawn, **({"waveform": waveform} | kwargs))


def test_packing_by_hand():
    rows = [
        [PackedTarget([70, 71], language_id=1, task_id=0), PackedTarget([72], language_id=2, task_id=1)],
        [PackedTarget([], language_id=3, task_id=2)],
    ]
    packed = pack_targets(rows, bos_token_id=1, eos_token_id=2, pad_token_id=0, pad_to_multiple_of=4)
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
    assert set(packed) == DECODER_KEYS
    for name, values in wanted.items():
        assert packed[name].dtype == torch.int64
        assert packed[name].tolist() == values, name


def test_speech_batch(build, tokenizer):
    items = [
        item(16_000, (("asr", "en", "abc"), ("ast", "fr", "de")), told="und"),
        item(8_001, (("ast", "pt-BR", "h"),), lang="fr"),
        item(4_000, (("asr", "und", "ff"),), lang="und"),
    ]
    batch = build()(items)
    assert set(batch) == DECODER_KEYS | {
        "input_features",
        "attention_mask",
        "ctc_labels",
        "language_ids",
        "source_language_labels",
    }
    assert batch["input_features"].shape == (3, 100, 80) and batch["input_features"].dtype == torch.float32
    assert batch["attention_mask"].sum(dim=1).tolist() == [100, 51, 25]
    assert batch["language_ids"].tolist() == [0, 2, 0]
    assert batch["source_language_labels"].tolist() == [1, 2, -100]
    a, b, c, f = (tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "abcf")
    assert batch["ctc_labels"].tolist() == [[a, b, c], [-100] * 3, [f, f, -100]]
    assert batch["decoder_sequence_ids"].tolist()[0] == [1, 1, 1, 1, 2, 2, 2]
    assert batch["decoder_language_ids"].tolist()[1] == [3, 3, 0, 0, 0, 0, 0]
    assert batch["task_ids"].tolist()[0] == [0] * 4 + [1] * 3
    real = batch["labels"] != -100
    assert torch.equal(real, batch["decoder_sequence_ids"] > 0) and torch.equal(real, batch["task_ids"] >= 0)
    assert set(NON_MODEL_KEYS) <= set(batch)


def test_every_key_is_an_input_of_the_model(build):
    known = set(inspect.signature(Mu2SLAMForConditionalGeneration.forward).parameters)
    for one in (item(), item(text="a", targets=(("mt", "fr", "b"),))):
        assert set(build()([one])) - set(NON_MODEL_KEYS) <= known


def test_features_are_those_of_the_extractor_alone(build):
    items = [item(16_000), item(7_777)]
    batch = build(pad_frames_to_multiple_of=32)(items)
    assert batch["input_features"].shape[1] == batch["attention_mask"].shape[1] == 128
    extractor = Mu2SLAMFeatureExtractor()
    for row, one in enumerate(items):
        alone = extractor(one.waveform, sampling_rate=16_000, return_tensors="pt")["input_features"][0]
        length = int(batch["attention_mask"][row].sum())
        assert torch.allclose(batch["input_features"][row, :length], alone, atol=1e-5)
        assert (batch["input_features"][row, length:] == 0).all()


def test_text_batch_is_what_the_tokenizer_gives(build, tokenizer):
    items = [item(text="abc", targets=(("mt", "fr", "d"),)), item(text="a", lang="fr", targets=(("mt", "en", "hh"),))]
    batch = build(pad_tokens_to_multiple_of=8)(items)
    assert set(batch) == DECODER_KEYS | {"input_ids", "attention_mask", "language_ids", "source_language_labels"}
    assert batch["input_ids"].shape == batch["labels"].shape == (2, 8)
    for row, text in enumerate(("abc", "a")):
        ids = tokenizer(text)["input_ids"]
        assert batch["input_ids"][row, : len(ids)].tolist() == ids
        assert batch["attention_mask"][row].tolist() == [1] * len(ids) + [0] * (8 - len(ids))
    assert batch["task_ids"][0].tolist()[:3] == [2, 2, -1]


@pytest.mark.parametrize(("num_frames", "fits"), [(13, True), (12, False)])
def test_transcripts_longer_than_the_encoder_output_are_counted(build, caplog, num_frames, fits):
    # "aab" needs a, blank, a, b = 4 encoder frames; 13 frames give ceil(ceil(13 / 2) / 2) = 4, 12 give 3
    collator = build()
    batch = collator([item(160 * num_frames, (("asr", "en", "aab"),), name="utt7")])
    assert (batch["ctc_labels"] != -100).any().item() == fits
    assert collator.num_ctc_too_long == (0 if fits else 1)
    assert ("utt7" in caplog.text) != fits
    assert (batch["labels"] != -100).sum() == 4, "the decoder still learns from it"


def test_failed_items_are_left_out(build):
    good, bad = item(16_000), item(4_000, waveform=None, error="bad file")
    batch = build()([bad, good])
    assert all(torch.equal(value, build()([good])[name]) for name, value in batch.items())
    empty = build()([bad])
    assert empty["input_features"].shape[0] == 1 and empty["attention_mask"].sum() > 0
    assert (empty["labels"] == -100).all() and (empty["ctc_labels"] == -100).all()
    assert empty["source_language_labels"].tolist() == [-100] and (empty["task_ids"] == -1).all()
    assert set(empty) == set(batch)


def test_spec_augment_starts_at_its_step(build):
    spec_augment = SpecAugment(SpecAugmentConfig(from_step=10, num_time_masks=4, max_time_mask_frames=30))
    plain, masked = build(), build(spec_augment=spec_augment)
    early, late = [item(), item(8_000, name="y")], [item(step=10), item(8_000, name="y", step=10)]
    assert torch.equal(masked(early)["input_features"], plain(early)["input_features"])
    features, clean = masked(late)["input_features"], plain(late)["input_features"]
    changed = features != clean
    assert changed.any() and (features[changed] == 0).all()
    assert torch.equal(masked(late)["attention_mask"], plain(late)["attention_mask"])


def test_typed_special_tokens_stay_text(build, tokenizer):
    batch = build()([item(targets=(("asr", "en", "</s><speech_5>"),))])
    offset = tokenizer.speech_token_offset
    assert not ((batch["ctc_labels"] >= offset) & (batch["ctc_labels"] < offset + 8)).any()
    assert (batch["labels"] == tokenizer.eos_token_id).sum() == 1


def test_faults(build):
    with pytest.raises(ValueError, match="exactly one source modality"):
        build()([item(), item(text="a")])
    with pytest.raises(ValueError, match="none"):
        build()([])
    with pytest.raises(ValueError, match="tokenizer"):
        MultitaskCollator(feature_extractor=Mu2SLAMFeatureExtractor())
    with pytest.raises(ValueError, match="feature_extractor"):
        build(feature_extractor=None)([item()])
    with pytest.raises(ValueError, match="'it'"):
        build()([item(lang="it")])
