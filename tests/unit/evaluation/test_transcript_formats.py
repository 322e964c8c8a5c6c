# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of aligned words: what Praat, players and spreadsheets expect."""

import json
import re

import pytest

from mu2slam_hf.evaluation.alignment_formats import FORMATS, SUFFIXES, split_subtitles
from mu2slam_hf.models.processing_alignment import AlignedWord, Alignment


def word(text, start, end, score=-0.5):
    return AlignedWord(text=text, start_seconds=start, end_seconds=end, score=score)


WORDS = (word("press", 0.0, 0.4), word('"1"', 0.4, 0.62, None), word("<now>", 1.5, 2.0))
ALIGNMENT = Alignment(words=WORDS, duration_seconds=2.25, score=-0.7, unknown_characters=("1",))


def test_tsv():
    lines = FORMATS["tsv"](ALIGNMENT).splitlines()
    assert lines[0].split("\t") == ["start", "end", "confidence", "word"]
    assert lines[1].split("\t") == ["0.000", "0.400", "0.6065", "press"]
    assert lines[2].split("\t") == ["0.400", "0.620", "", '"1"']


def test_json():
    content = json.loads(FORMATS["json"](ALIGNMENT))
    assert content["duration_seconds"] == 2.25 and content["unknown_characters"] == ["1"]
    assert content["words"][1] == {"word": '"1"', "start": 0.4, "end": 0.62, "confidence": None}


def test_textgrid_covers_the_recording_without_gaps():
    text = FORMATS["textgrid"](ALIGNMENT)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n')
    labels = re.findall(r'text = "(.*)"$', text, re.MULTILINE)
    assert labels == ["press", '""1""', "", "<now>", ""]
    times = re.findall(r"^            xm(?:in|ax) = ([\d.]+)$", text, re.MULTILINE)
    starts, ends = [float(t) for t in times[::2]], [float(t) for t in times[1::2]]
    assert starts[0] == 0 and ends[-1] == 2.25 and starts[1:] == ends[:-1]
    assert all(end > start for start, end in zip(starts, ends, strict=True))
    assert f"intervals: size = {len(labels)}" in text


def test_subtitles():
    srt = FORMATS["srt"](ALIGNMENT)
    assert srt.split("\n\n")[0] == '1\n00:00:00,000 --> 00:00:00,620\npress "1"'
    assert srt.rstrip().endswith("2\n00:00:01,500 --> 00:00:02,000\n<now>")
    vtt = FORMATS["vtt"](ALIGNMENT)
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.620\npress <00:00:00.400>")
    assert "&lt;now&gt;" in vtt


def test_subtitles_break_at_pauses_length_and_time():
    many = [word("word" * 3, 0.5 * i, 0.5 * i + 0.5) for i in range(40)]
    groups = list(split_subtitles(many))
    assert sum(groups, []) == many
    for group in groups:
        assert group[-1].end_seconds - group[0].start_seconds <= 7.0
        assert len(" ".join(w.text for w in group)) <= 84
    assert [len(g) for g in split_subtitles(WORDS)] == [2, 1]
    assert list(split_subtitles([])) == []


def test_hours_and_rounding():
    late = Alignment(words=(word("x", 3723.9996, 3725.0),), duration_seconds=4000, score=-1.0)
    assert "01:02:04,000 --> 01:02:05,000" in FORMATS["srt"](late)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_its_file_and_has_a_suffix(name):
    assert FORMATS[name](ALIGNMENT).endswith("\n")
    assert SUFFIXES[name].lower() == f".{name}"
