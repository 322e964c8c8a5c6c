# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Lengths of recordings."""

from dataclasses import replace

import pytest
from public_schema import write_sound

from mu2slam_hf.data.audio import AudioError, AudioSlice
from mu2slam_hf.data.durations import fill_durations, seconds_of
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.tones import write_tone_corpus


def test_missing_durations_are_read_from_the_files(tmp_path):
    records = read_manifest(write_tone_corpus(tmp_path / "tones", num_sentences=4))
    bare = [replace(record, duration_seconds=None) for record in records]
    gone = replace(bare[0], id="gone", audio=str(tmp_path / "gone.wav"))
    filled, reasons = fill_durations([*bare, gone, records[0]])
    assert [record.duration_seconds for record in filled[:-1]] == pytest.approx(
        [record.duration_seconds for record in records], abs=1e-3
    )
    assert len(reasons) == 1 and "gone" in reasons[0] and "no such file" in reasons[0]


@pytest.mark.parametrize("stated", [None, "", "abc", 0, -1.0, float("nan"), float("inf"), 1e9])
def test_lengths_that_cannot_be_true_are_read_from_the_header(tmp_path, stated):
    write_sound(tmp_path / "a.wav", 0.75)
    content = (tmp_path / "a.wav").read_bytes()
    for audio in (str(tmp_path / "a.wav"), content, {"bytes": content, "path": "a.wav"}, AudioSlice("a.wav", 1, 1.75)):
        assert seconds_of(stated, audio) == 0.75
    assert seconds_of("0.5", content) == 0.5
    with pytest.raises(AudioError, match="a.wav"):
        seconds_of(stated, {"bytes": b"RIFF", "path": "a.wav"})
