# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Crops of recordings for the synthesizer, and its losses against loops."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from pretraining_batches import build_item

from mu2slam_hf import Mu2SLAMFeatureExtractor
from mu2slam_hf.data.collation.synthesis import SynthesisCollator
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.modules_vocoders import spectral_distance_sum
from mu2slam_hf.training.objectives.synthesis import SynthesisObjective, SynthesisObjectiveConfig

PROCESSOR = SimpleNamespace(feature_extractor=Mu2SLAMFeatureExtractor())
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
CONFIG = SpeechSynthesizerConfig(
    num_speech_tokens=64,
    languages=["und", "en", "es"],
    speakers=["und", "ana"],
    encoder_config=SMALL,
    frame_config={"hidden_size": 16, "num_hidden_layers": 1},
    vocoder="istft",
    vocoder_config={"hidden_size": 16, "num_hidden_layers": 1},
)


def make_collator(crop_ids=None, seed=0, missing=0):
    """Ids of a recording are the numbers of its frames of 40 ms."""
    return SynthesisCollator(
        PROCESSOR,
        CONFIG,
        find_ids=lambda record: range(record.num_ids - missing),
        find_speaker=lambda record: record.speaker,
        crop_ids=crop_ids,
        seed=seed,
    )


def make_item(samples, name="a", lang="en", told=None, speaker=None, key=None):
    record = SimpleNamespace(num_ids=-(-samples // 640), speaker=speaker)
    return build_item(name, samples=samples, lang=lang, told=told, record=record, key=key)


def test_whole_recordings_are_filled_up_to_whole_ids():
    items = [make_item(6401, speaker="ana"), make_item(640, "b", lang="es", told="und", speaker="ana")]
    batch = make_collator()(items)
    assert batch["input_ids"].tolist() == [list(range(11)), [0] * 11]
    assert batch["attention_mask"].sum(dim=1).tolist() == [11, 1]
    assert batch["labels"].shape == (2, 44, 80) and batch["waveforms"].shape == (2, 11 * 640)
    assert torch.equal(batch["waveforms"][0, :6401], torch.as_tensor(items[0].waveform))
    assert not batch["waveforms"][0, 6401:].any() and not batch["labels"][1, 4:].any()
    # The second one is not told its language, nor its voice.
    assert (batch["language_ids"].tolist(), batch["speaker_ids"].tolist()) == ([1, 0], [1, 0])
    features = PROCESSOR.feature_extractor(batch["waveforms"][0].numpy(), sampling_rate=16000)["input_features"][0]
    assert torch.equal(batch["labels"][0], features)


def test_a_crop_is_a_part_of_the_whole_by_seed_epoch_and_example():
    item = make_item(16000)
    whole, collate = make_collator()([item]), make_collator(crop_ids=5)
    starts = set()
    for epoch in range(12):
        drawn = replace(item, drawn=replace(item.drawn, key=DrawKey(0, epoch)))
        batch = collate([drawn])
        start = int(batch["input_ids"][0, 0])
        starts.add(start)
        assert batch["input_ids"][0].tolist() == list(range(start, start + 5))
        assert torch.equal(batch["labels"][0], whole["labels"][0, 4 * start : 4 * (start + 5)])
        assert torch.equal(batch["waveforms"][0], whole["waveforms"][0, 640 * start : 640 * (start + 5)])
        assert torch.equal(collate([drawn])["input_ids"], batch["input_ids"])
    assert len(starts) > 5 and min(starts) >= 0 and max(starts) <= 20
    others = {int(make_collator(crop_ids=5, seed=seed)([item])["input_ids"][0, 0]) for seed in range(8)}
    assert len(others) > 2
    short = make_collator(crop_ids=50)([item])
    assert torch.equal(short["labels"], whole["labels"])


def test_nothing_usable_is_a_row_of_padding_and_other_ids_are_refused():
    batch = make_collator()([build_item(error="bad file")])
    assert batch["attention_mask"].sum() == 0 and batch["labels"].shape == (1, 4, 80) and batch["record_ids"] == []
    with pytest.raises(ValueError, match="a: expected 10 ids for 6400 samples, got 9"):
        make_collator(missing=1)([make_item(6400)])


def test_losses_of_a_loop_whatever_is_on_padding():
    torch.manual_seed(0)
    model = SpeechSynthesizerModel(CONFIG).eval()
    objective = SynthesisObjective(model, SynthesisObjectiveConfig(mel=1.0, stft=0.5))
    batch = make_collator()([make_item(6400), make_item(1900, "b")])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "language_ids", "speaker_ids", "labels")}
    with torch.no_grad():
        outputs = model(**inputs)
        sums = objective.sum(outputs, batch, is_training=False)
        alone = 0.0
        for row, length in enumerate((10, 3)):
            frames = (outputs.log_mel[row, : 4 * length] - batch["labels"][row, : 4 * length]).abs().mean(dim=-1)
            alone += float(frames.sum())
        spectral = spectral_distance_sum(outputs.waveforms, batch["waveforms"], outputs.frame_mask, 160)
    assert float(sums["mel"]) == pytest.approx(alone, rel=1e-5)
    assert torch.equal(sums["stft"], spectral) and float(spectral) > 0
    counts = objective.count(batch)
    assert counts["mel"] == counts["stft"] == 52 == int(outputs.frame_mask.sum())
    batch["labels"][1, 12:] = 1e6
    with torch.no_grad():
        assert float(objective.sum(outputs, batch, is_training=False)["mel"]) == pytest.approx(alone, rel=1e-5)
