# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Words and segments in HTML: nothing of a text is markup, and no word is told from others by its colour alone."""

import math
from xml.etree import ElementTree

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.serving.transcript_html import format_segments, format_words


def make_transcript(*segments):
    return Transcript(segments=segments, duration_seconds=3.0, language="es")


def make_segment(*words, **options):
    return TranscriptSegment(start_seconds=0.0, end_seconds=2.5, text="a <b>c", language="es", words=words, **options)


def make_word(text, confidence):
    score = None if confidence is None else math.log(confidence)
    return AlignedWord(text=text, start_seconds=0.25, end_seconds=1.0, score=score)


def read(html):
    return ElementTree.fromstring(html.replace("<br>", "<br/>"))


def test_words_have_times_and_confidences_in_text_and_title():
    words = [make_word("hola", 0.987), make_word('<script>"&', 0.25), make_word("x", None)]
    items = read(format_words(make_transcript(make_segment(*words))))
    assert items.tag == "ul" and items.get("aria-label")
    assert ["".join(item.find("span").itertext()) for item in items] == ["hola", '<script>"&', "x"]
    assert [item.get("title").split(", ")[1] for item in items] == [
        "confidence 99 %",
        "confidence 25 % ?",
        "confidence unknown",
    ]
    assert [item.get("class") for item in items] == [None, "doubtful", None]
    assert "".join(items[1].find("small").itertext()) == "0.25 s25 % ?"
    assert items[0].get("title").startswith("0.25 to 1.00 s") and items[0].find("span").get("lang") == "es"


def test_without_speech_or_times():
    assert "no speech" in format_words(make_transcript()) and format_segments(make_transcript()) == ""
    assert "no times" in format_words(make_transcript(make_segment()))


def test_segments_have_a_column_for_each_translation():
    table = read(format_segments(make_transcript(make_segment(translations={"en": "x & y"}, written_language="it"))))
    assert [cell.text for cell in table.find("thead/tr")] == ["start", "end", "language", "text", "en"]
    row = table.find("tbody/tr")
    assert [cell.text for cell in row] == ["0.00 s", "2.50 s", "es", "a <b>c", "x & y"]
    assert [cell.get("lang") for cell in row] == [None, None, None, "it", "en"]
