# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from pretraining_batches import PROCESSOR
from transformers import Wav2Vec2FeatureExtractor

from mu2slam_hf import ConformerEncoderConfig
from mu2slam_hf.data.collation.heads import HeadCollator, HeadDataset, HeadItem
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.recipes.head_finetuning import balance_classes
from mu2slam_hf.recipes.head_sections import HeadDataSection

TOKENIZER = PROCESSOR.tokenizer


def item(source, target, name="a") -> HeadItem:
    return HeadItem(id=name, source=source, target=target)


def test_a_data_set_reads_recordings_and_texts(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, 0.1 * np.ones(1600), 16000)
    records = [SpeechTextRecord(id="a", audio=str(path), text="uno", lang="es")]
    spoken, written = HeadDataset(records, [1])[0], HeadDataset(records, [0], modality="text")[0]
    assert spoken.id == "/es/a" and spoken.target == 1 and spoken.source.shape == (1600,)
    assert written.source == "uno" and written.target == 0
    with pytest.raises(ValueError, match="1 records and 2 targets"):
        HeadDataset(records, [1, 2])
    with pytest.raises(ValueError, match="/en/b: has no audio"):
        HeadDataset([SpeechTextRecord(id="b", text="one", lang="en")], [0])


def test_a_band_limit_takes_off_what_is_above_it(tmp_path):
    time = np.arange(16000) / 16000
    low, high = (0.1 * np.sin(2 * np.pi * hertz * time) for hertz in (1000, 6000))
    sf.write(tmp_path / "a.wav", low + high, 16000, subtype="FLOAT")
    records = [SpeechTextRecord(id="a", audio=str(tmp_path / "a.wav"), lang="es")]
    plain, limited = HeadDataset(records, [1])[0], HeadDataset(records, [1], band_limit_hz=4000)[0]
    np.testing.assert_allclose(plain.source, low + high, atol=1e-4)
    np.testing.assert_allclose(limited.source[500:-500], low[500:-500], atol=2e-3)
    with pytest.raises(ValueError, match="band_limit_hz must lie .* got 9000"):
        HeadDataset(records, [1], band_limit_hz=9000)
    with pytest.raises(ValueError, match="band_limit_hz must lie .* got 9000"):
        HeadDataSection(band_limit_hz=9000)


def test_speech_with_classes():
    batch = HeadCollator(PROCESSOR)([item(np.zeros(n, dtype=np.float32), i) for i, n in enumerate((1600, 321))])
    assert batch["input_features"].shape == (2, 10, 80) and batch["labels"].tolist() == [0, 1]
    assert batch["attention_mask"].sum(dim=1).tolist() == [10, 3]


def test_speech_with_transcripts():
    batch = HeadCollator(PROCESSOR)([item(np.zeros(1600, dtype=np.float32), text) for text in ("se", "a\u4e00", "")])
    ids = TOKENIZER("sea", add_special_tokens=False).input_ids
    assert batch["labels"].tolist() == [ids[:2], [ids[2], -100], [-100, -100]]


def test_a_transcript_without_enough_frames_is_named_and_left_out(caplog):
    ids = TOKENIZER("sea", add_special_tokens=False).input_ids
    speech = np.zeros(3 * 640, dtype=np.float32)
    # 3 frames: three letters fit, two equal ones need a blank between them.
    items = [item(speech, text, name) for name, text in (("fits", "sea"), ("repeats", "see"), ("long", "seas"))]
    collator = HeadCollator(PROCESSOR)
    with caplog.at_level("WARNING"):
        batch = collator(items)
    assert batch["labels"].tolist() == [ids, [-100] * 3, [-100] * 3]
    assert collator.num_ctc_too_long == 2
    messages = "\n".join(record.getMessage() for record in caplog.records)
    assert "repeats: transcript needs 4 encoder frames, there are 3" in messages
    assert "long: transcript needs 4" in messages and "fits:" not in messages


def test_texts_end_as_the_processor_ends_them():
    batch = HeadCollator(PROCESSOR)([item("se", 3), item("sea", 1)])
    expected = PROCESSOR(text=["se", "sea"])
    assert batch["input_ids"].equal(expected["input_ids"])
    assert batch["attention_mask"].equal(expected["attention_mask"]) and batch["labels"].tolist() == [3, 1]


def test_waveforms():
    processor = SimpleNamespace(feature_extractor=Wav2Vec2FeatureExtractor(do_normalize=False), tokenizer=TOKENIZER)
    collator = HeadCollator(processor, ConformerEncoderConfig(frontend="waveform"))
    batch = collator([item(np.ones(1600, dtype=np.float32), 0), item(np.ones(800, dtype=np.float32), 0)])
    assert batch["input_values"].shape == (2, 1600) and batch["attention_mask"].sum().item() == 2400


@pytest.mark.parametrize(
    "items, message",
    [
        ([item(np.zeros(800, dtype=np.float32), 0), item("a", 0)], "sources of one kind"),
        ([item("a", 0), item("a", "e")], "targets of one kind"),
    ],
)
def test_kinds_are_not_mixed(items, message):
    with pytest.raises(ValueError, match=message):
        HeadCollator(PROCESSOR)(items)


def test_classes_are_balanced_by_repetition():
    assert balance_classes([0, 1, 0, 0, 1, 2]) == [0, 2, 3, 1, 4, 1, 5, 5, 5]
    assert balance_classes([1, 0]) == [1, 0]
