# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tables of speech ids: one pass, resumed after an interruption, by the content of recordings and by tokenizer."""

import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pytest
import soundfile
import torch
from tiny_dual_encoders import build_processor

from mu2slam_hf.data.examples.failures import TooManyBadRecordsError
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.quantization import speech_id_tables
from mu2slam_hf.quantization.speech_id_tables import SpeechIdTable, fingerprint_speech_tokenizer


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    generator, results = np.random.default_rng(0), []
    for number in range(12):
        soundfile.write(folder / f"{number}.wav", generator.normal(0, 0.1, 4000 + 400 * number), 16_000)
        results.append(SpeechTextRecord(id=str(number), audio=str(folder / f"{number}.wav"), text="a", lang="en"))
    return results


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(speech_id_tables, "GROUP_SIZE", 3)


def test_ids_are_those_of_the_processor_and_are_computed_once(records, tmp_path):
    processor = build_processor()
    table = SpeechIdTable(tmp_path, processor).fill(records)
    assert table.num_tokenized == 12 and len(list(tmp_path.glob("*/*.parquet"))) == 4
    again = SpeechIdTable(tmp_path, processor).fill(records)
    assert again.num_tokenized == 0
    for record in records:
        expected = processor.tokenize_speech([{"path": record.audio}])[0]
        assert list(table.find(record)) == list(again.find(record)) == expected


def test_the_content_counts_not_the_name(records, tmp_path):
    processor = build_processor()
    SpeechIdTable(tmp_path / "ids", processor).fill(records)
    moved = tmp_path / "moved.wav"
    shutil.copy(records[3].audio, moved)
    other = SpeechTextRecord(id="moved", audio=str(moved), text="a", lang="en")
    table = SpeechIdTable(tmp_path / "ids", processor).fill([other])
    assert table.num_tokenized == 0
    soundfile.write(moved, np.zeros(8000), 16_000)
    changed = SpeechIdTable(tmp_path / "ids", processor).fill([other])
    assert changed.num_tokenized == 1 and len(changed.find(other)) != len(table.find(other))


def test_another_codebook_has_its_own_table(records, tmp_path):
    processor, other = build_processor(), build_processor()
    assert fingerprint_speech_tokenizer(processor) == fingerprint_speech_tokenizer(other)
    with torch.no_grad():
        other.speech_tokenizer.quantizer.codebook.add_(1.0)
    SpeechIdTable(tmp_path, processor).fill(records)
    assert SpeechIdTable(tmp_path, other).fill(records).num_tokenized == 12
    other.speech_tokenizer = None
    with pytest.raises(ValueError, match="has no speech tokenizer"):
        SpeechIdTable(tmp_path, other)


def test_unreadable_recordings_have_no_ids(records, tmp_path):
    broken = SpeechTextRecord(id="broken", audio=str(tmp_path / "none.wav"), text="a", lang="en")
    table = SpeechIdTable(tmp_path / "ids", build_processor()).fill([broken, *records])
    assert table.find(broken) is None and table.failures.failures == 1 and len(table) == 12
    many = [SpeechTextRecord(id=f"b{n}", audio=str(tmp_path / f"{n}.wav"), text="a", lang="en") for n in range(20)]
    with pytest.raises(TooManyBadRecordsError):
        SpeechIdTable(tmp_path / "ids", build_processor()).fill(many)


def fill_slowly(folder, records):
    processor = build_processor()
    tokenize = processor.tokenize_speech
    processor.tokenize_speech = lambda *args: time.sleep(0.02) or tokenize(*args)
    SpeechIdTable(folder, processor).fill(records)


def test_killed_at_any_time_it_goes_on(records, tmp_path):
    generator, context = np.random.default_rng(0), multiprocessing.get_context("fork")
    for _ in range(4):
        process = context.Process(target=fill_slowly, args=(tmp_path, records))
        process.start()
        time.sleep(generator.uniform(0.05, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    whole = SpeechIdTable(tmp_path / "whole", build_processor()).fill(records)
    resumed = SpeechIdTable(tmp_path, build_processor()).fill(records)
    assert all(np.array_equal(whole.find(record), resumed.find(record)) for record in records)
    assert SpeechIdTable(tmp_path, build_processor()).fill(records).num_tokenized == 0
