# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of transcripts and alignments: what Praat, players, spreadsheets and programs expect."""

import csv
import io
import json

import pytest

from mu2slam_hf.inference.alignment import AlignedWord, Alignment
from mu2slam_hf.inference.formats.transcripts import (
    alignment_to_dict,
    alignment_to_transcript,
    format_transcript,
    output_suffixes,
)
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment


def word(text, start, end, score=-0.5):
    return AlignedWord(text=text, start_seconds=start, end_seconds=end, score=score)


def segment(start, end, text, **fields):
    return TranscriptSegment(start_seconds=start, end_seconds=end, text=text, **{"language": "es", **fields})


WORDS = (word("press", 0.0, 0.4), word('"1"', 0.4, 0.62, None), word("<now>", 1.5, 2.0))
ALIGNMENT = Alignment(words=WORDS, duration_seconds=2.25, score=-0.7, unknown_characters=("1",))
ALIGNED = alignment_to_transcript(ALIGNMENT, 'press "1"  <now>', "en")
SPEECH = Transcript(
    segments=(
        segment(0.5, 1.0, "hola", words=(word("hola", 0.5, 1.0),), translations={"en": "hello"}),
        segment(2.0, 3.0, "adiós", words=(word("adiós", 2.0, 3.0),), translations={"en": "good\tbye"}),
    ),
    duration_seconds=4.0,
    language="es",
)
SPEAKERS = Transcript(
    segments=(
        segment(0.0, 1.0, "uno", channel=0),
        segment(0.5, 1.5, "dos", channel=1),
        segment(2, 3, "tres", channel=0),
    ),
    duration_seconds=3.0,
    language="es",
)
NO_SPEECH = Transcript(segments=(), duration_seconds=2.0, language="und")


def read_textgrid(text):
    """A naive reader of the long form: tiers as name -> intervals."""
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']

    def value(line):
        content = line.split(" = ", 1)[1]
        return content[1:-1].replace('""', '"') if content.startswith('"') else float(content)

    tiers, place = {}, lines.index("item []:") + 1
    while place < len(lines):
        assert lines[place].startswith("item [") and value(lines[place + 1]) == "IntervalTier"
        name, count = value(lines[place + 2]), int(value(lines[place + 5]))
        rows = [lines[place + 6 + 4 * number : place + 10 + 4 * number] for number in range(count)]
        tiers[name] = [tuple(value(line) for line in row[1:]) for row in rows]
        place += 6 + 4 * count
    assert int(value(lines[6])) == len(tiers)
    return tiers


def read_tsv(text):
    return list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))


def test_tsv_of_words():
    lines = format_transcript(ALIGNED, "tsv", word_times=True).splitlines()
    assert lines[0].split("\t") == ["start", "end", "confidence", "word"]
    assert lines[1].split("\t") == ["0.000", "0.400", "0.6065", "press"]
    assert lines[2].split("\t") == ["0.400", "0.620", "", '"1"']


def test_tsv_of_segments_has_translations_and_speakers():
    first, second = read_tsv(format_transcript(SPEECH, "tsv", target_langs=["en"]))
    assert first == {"start": "0.500", "end": "1.000", "language": "es", "text": "hola", "en": "hello"}
    assert second["en"] == "good bye"
    rows = read_tsv(format_transcript(SPEAKERS, "tsv", speakers=True))
    assert [row["speaker"] for row in rows] == ["speaker 1", "speaker 2", "speaker 1"]


def test_json_of_alignments_and_transcripts():
    content = alignment_to_dict(ALIGNMENT)
    assert content["duration_seconds"] == 2.25 and content["unknown_characters"] == ["1"]
    assert content["words"][1] == {"word": '"1"', "start": 0.4, "end": 0.62, "confidence": None}
    content = json.loads(format_transcript(SPEECH, "json", head={"file": "a.wav"}))
    assert content["file"] == "a.wav" and content["text"] == "hola adiós"
    assert content["translations"] == {"en": "hello good\tbye"}
    assert content["segments"][0]["words"][0]["word"] == "hola"


def test_text_has_a_line_per_segment():
    assert format_transcript(SPEECH, "txt") == "hola\nadiós\n"
    assert format_transcript(SPEECH, "txt", target_lang="en") == "hello\ngood\tbye\n"
    assert format_transcript(SPEAKERS, "txt").splitlines()[1] == "[speaker 2] dos"


@pytest.mark.parametrize("transcript", [ALIGNED, SPEECH, SPEAKERS, NO_SPEECH])
def test_tiers_of_a_textgrid_cover_the_recording_without_gaps(transcript):
    for intervals in read_textgrid(format_transcript(transcript, "textgrid")).values():
        assert intervals[0][0] == 0 and intervals[-1][1] == transcript.duration_seconds
        assert all(start < end for start, end, _ in intervals)
        assert all(one[1] == two[0] for one, two in zip(intervals[:-1], intervals[1:], strict=True))


def test_tiers_of_words_segments_translations_and_speakers():
    tiers = read_textgrid(format_transcript(ALIGNED, "textgrid"))
    assert [text for _, _, text in tiers["words"]] == ["press", '"1"', "", "<now>", ""]
    assert tiers["segments"][0] == (0.0, 2.0, 'press "1" <now>')
    tiers = read_textgrid(format_transcript(SPEECH, "textgrid"))
    assert list(tiers) == ["words", "segments", "translation en"]
    assert tiers["translation en"][1] == (0.5, 1.0, "hello")
    assert list(read_textgrid(format_transcript(SPEAKERS, "textgrid"))) == ["speaker 1 segments", "speaker 2 segments"]


def test_overlapping_and_empty_intervals_do_not_break_a_tier():
    words = (word("a", 0.0, 0.5), word("b", 0.4, 0.6), word("c", 0.6, 0.6), word("d", 0.9, 1.2))
    odd = Transcript(segments=(segment(0.0, 1.0, "a b c d", words=words),), duration_seconds=1.0, language="es")
    tiers = read_textgrid(format_transcript(odd, "textgrid"))
    assert tiers["words"] == [(0.0, 0.5, "a"), (0.5, 0.6, "b"), (0.6, 0.9, ""), (0.9, 1.0, "d")]


def test_without_speech_every_format_is_empty_and_valid():
    assert format_transcript(NO_SPEECH, "txt") == format_transcript(NO_SPEECH, "srt") == ""
    assert format_transcript(NO_SPEECH, "vtt").strip() == "WEBVTT"
    assert read_tsv(format_transcript(NO_SPEECH, "tsv", target_langs=["en"])) == []
    assert json.loads(format_transcript(NO_SPEECH, "json"))["text"] == ""


def test_suffixes():
    assert output_suffixes("srt", ["en", "fr"]) == {".srt": None, ".en.srt": "en", ".fr.srt": "fr"}
    assert output_suffixes("textgrid", ["en"]) == {".TextGrid": None}
    with pytest.raises(ValueError, match="unknown format 'ass'; expected one of txt, srt"):
        format_transcript(SPEECH, "ass")
