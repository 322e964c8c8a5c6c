# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Subtitles: readable, in order, valid as SRT and WebVTT."""

import itertools
import random
import re

import pysubs2
import pytest

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.formats.subtitles import (
    MAX_LINE_CHARACTERS,
    MAX_SECONDS,
    PAUSE_SECONDS,
    SubtitleUnit,
    _break_cost,
    _cost,
    _fits,
    build_subtitles,
    display_width,
    divide_units,
    format_srt,
    format_vtt,
    split_units,
    wrap_units,
)
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment

SYLLABLES = "ba de ki lo mu ran tes vier zon stra".split()


def word(text, start, end):
    return AlignedWord(text=text, start_seconds=start, end_seconds=end, score=-0.5)


def random_segment(generator, start=0.0, count=60, channel=None, **fields):
    """A segment of random words, pauses and punctuation."""
    words, here = [], start
    for _ in range(count):
        text = "".join(generator.choices(SYLLABLES, k=generator.randint(1, 5)))
        text += generator.choices(["", ",", ".", "?"], [8, 1, 1, 0.3])[0]
        duration = generator.uniform(0.02, 0.09) * len(text)
        words.append(word(text, here, here + duration))
        here += duration + generator.choice([0.0, 0.0, 0.0, 0.1, 0.4, 1.2])
    return TranscriptSegment(
        start_seconds=start,
        end_seconds=words[-1].end_seconds,
        text=" ".join(one.text for one in words),
        language="es",
        words=tuple(words),
        channel=channel,
        **fields,
    )


def transcript_of(*segments, duration=None):
    end = max((segment.end_seconds for segment in segments), default=1.0)
    return Transcript(segments=segments, duration_seconds=duration or end + 0.5, language="es")


def read_srt(text):
    """A naive reader: number, times in milliseconds, lines."""
    clock = r"(\d\d):(\d\d):(\d\d),(\d{3})"
    cues = []
    for number, block in enumerate(text.strip().split("\n\n"), start=1):
        first, times, *lines = block.split("\n")
        assert first == str(number)
        values = [int(value) for value in re.fullmatch(f"{clock} --> {clock}", times).groups()]
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (values[:4], values[4:]))
        cues.append((start, end, lines))
    return cues


@pytest.mark.parametrize("seed", range(8))
def test_subtitles_of_random_speech_are_readable_and_complete(seed):
    generator = random.Random(seed)
    first = random_segment(generator)
    second = random_segment(generator, start=first.end_seconds + generator.choice([0.0, 0.5, 3.0]))
    transcript = transcript_of(first, second)
    cues = read_srt(format_srt(build_subtitles(transcript)))
    assert " ".join(" ".join(lines) for _, _, lines in cues) == transcript.text
    for (start, end, lines), following in itertools.zip_longest(cues, cues[1:]):
        assert 1 <= len(lines) <= 2 and max(map(len, lines)) <= 42
        assert 0 < end - start <= 7000
        room = (following[0] if following else 1000 * transcript.duration_seconds) - start
        if following:
            assert end <= following[0]
        if room >= 1080:
            assert end - start >= 1000
    starts = {round(1000 * one.start_seconds) for one in transcript.words}
    assert {start for start, _, _ in cues} <= starts


@pytest.mark.parametrize("seed", range(4))
def test_pysubs2_reads_back_both_formats(seed):
    transcript = transcript_of(random_segment(random.Random(seed)))
    subtitles = build_subtitles(transcript)
    for name, text in (("srt", format_srt(subtitles)), ("vtt", format_vtt(subtitles))):
        read = pysubs2.SSAFile.from_string(text, format_=name)
        assert [event.plaintext for event in read] == [one.text for one in subtitles]
        assert [event.start for event in read] == [round(1000 * one.start_seconds) for one in subtitles]
        assert [event.end for event in read] == [round(1000 * one.end_seconds) for one in subtitles]


@pytest.mark.parametrize("seed", range(6))
def test_the_division_is_the_best_of_all(seed):
    """Dynamic programming against all 2^n divisions."""
    generator = random.Random(seed)
    segment = random_segment(generator, count=9)
    units = [
        SubtitleUnit(text=one.text * 2, start_seconds=one.start_seconds, end_seconds=one.end_seconds)
        for one in segment.words
    ]
    until = units[-1].end_seconds + 0.3

    def cost(places):
        edges = [0, *places, len(units)]
        total = 0.0
        for start, end in itertools.pairwise(edges):
            group = units[start:end]
            if len(group) > 1 and not _fits(group, 0):
                return float("inf")
            total += _cost(group, units[end].start_seconds if end < len(units) else until)
            total += _break_cost(units, end) if end < len(units) else 0.0
        return total

    divisions = [chosen for n in range(len(units)) for chosen in itertools.combinations(range(1, len(units)), n)]
    found = divide_units(units, until)
    places = list(itertools.accumulate(len(group) for group in found))[:-1]
    assert cost(places) == pytest.approx(min(map(cost, divisions)))


def test_breaks_are_at_sentences_clauses_and_pauses():
    text = "the first sentence of this talk ends here. the second one is a little longer than that, and goes on"
    pieces = text.split()
    words = [word(piece, 0.4 * place, 0.4 * place + 0.4) for place, piece in enumerate(pieces)]
    segment = TranscriptSegment(start_seconds=0.0, end_seconds=8.0, text=text, language="en", words=tuple(words))
    first, second = build_subtitles(transcript_of(segment))
    assert first.text.replace("\n", " ").endswith("ends here.")
    assert second.text.replace("\n", " ") == "the second one is a little longer than that, and goes on"
    paused = [word("one", 0.0, 0.4), word("two", 0.5, 0.9), word("three", 0.9 + PAUSE_SECONDS + 0.01, 2.0)]
    segment = TranscriptSegment(
        start_seconds=0.0, end_seconds=2.0, text="one two three", language="en", words=tuple(paused)
    )
    assert [one.text for one in build_subtitles(transcript_of(segment))] == ["one two", "three"]


def test_lines_are_balanced_and_break_after_punctuation():
    units = split_units("when all of this had been said, they went home together", 0.0, 3.0)
    upper, lower = wrap_units(units)
    assert " ".join(one.text for one in upper) == "when all of this had been said,"
    assert " ".join(one.text for one in lower) == "they went home together"
    assert len(wrap_units(units[:8])) == 1
    assert wrap_units(split_units("word " * 20, 0.0, 3.0)) is None


def test_a_short_subtitle_stays_until_it_is_read_if_there_is_room():
    def single(end, following):
        words = (word("incomprehensibilities", 0.0, 0.3), word("abc", following, following + 1.0))
        segment = TranscriptSegment(
            start_seconds=0.0,
            end_seconds=end,
            text="incomprehensibilities abc",
            language="en",
            words=words,
        )
        return build_subtitles(transcript_of(segment))[0]

    assert single(9.0, 8.0).end_seconds == pytest.approx(21 / 20)
    # The next one starts earlier; a gap remains.
    assert 0.3 < single(2.0, 1.05).end_seconds < 1.05


def test_translations_are_shown_while_their_segment_is_spoken():
    source = random_segment(random.Random(1), start=2.0, count=12)
    words = [f"word{number}" for number in range(30)]
    segment = TranscriptSegment(
        start_seconds=2.0,
        end_seconds=source.end_seconds,
        text=source.text,
        language="es",
        words=source.words,
        translations={"en": " ".join(words)},
    )
    subtitles = build_subtitles(transcript_of(segment), "en")
    assert " ".join(one.text.replace("\n", " ") for one in subtitles) == " ".join(words)
    assert subtitles[0].start_seconds == 2.0
    lengths = list(itertools.accumulate(len(one.text.replace("\n", "").replace(" ", "")) for one in subtitles))
    total = source.end_seconds - 2.0
    for later, done in zip(subtitles[1:], lengths, strict=False):
        assert later.start_seconds == pytest.approx(2.0 + total * done / lengths[-1])
    assert build_subtitles(transcript_of(segment), "fr") == []


def test_texts_without_spaces_and_wide_characters():
    text = "今天天气很好我们一起去公园散步吧然后回家吃晚饭看电视最后早点睡觉明天还要上班"
    segment = TranscriptSegment(start_seconds=0.0, end_seconds=9.0, text=text, language="zh")
    subtitles = build_subtitles(transcript_of(segment))
    assert "".join(one.text.replace("\n", "") for one in subtitles) == text
    assert all(display_width(line) <= 42 for one in subtitles for line in one.text.split("\n"))
    # Tokens with times: no spaces between them, because the text has none.
    tokens = tuple(word(char, 0.2 * place, 0.2 * place + 0.2) for place, char in enumerate(text[:6]))
    timed = TranscriptSegment(start_seconds=0.0, end_seconds=1.2, text=text[:6], language="zh", words=tokens)
    assert [one.text for one in build_subtitles(transcript_of(timed))] == [text[:6]]
    # Marks stay with their letters.
    thai = split_units("ที่นี่" * 30, 0.0, 1.0)
    assert "".join(one.text for one in thai) == "ที่นี่" * 30 and thai[1].text == "นี่" and thai[1].joint == ""


def test_speakers_have_labels_and_may_overlap():
    generator = random.Random(3)
    first = random_segment(generator, start=0.0, count=25, channel=0)
    second = random_segment(generator, start=0.7, count=25, channel=1)
    transcript = transcript_of(first, second)
    cues = read_srt(format_srt(build_subtitles(transcript, with_labels=True)))
    assert [start for start, _, _ in cues] == sorted(start for start, _, _ in cues)
    for speaker, segment in (("[speaker 1] ", first), ("[speaker 2] ", second)):
        own = [cue for cue in cues if cue[2][0].startswith(speaker)]
        assert " ".join(" ".join(cue[2]).removeprefix(speaker) for cue in own) == segment.text
        assert all(cue[1] <= later[0] for cue, later in itertools.pairwise(own))
    assert max(len(line) for cue in cues for line in cue[2]) <= MAX_LINE_CHARACTERS
    vtt = format_vtt(build_subtitles(transcript))
    assert vtt.count("<v Speaker 1>") + vtt.count("<v Speaker 2>") == vtt.count(" --> ")


def test_word_times_of_vtt_increase_inside_their_subtitle_and_markup_is_escaped():
    words = (word("a&b", 0.0, 0.4), word("<c>", 0.4, 0.6), word("same", 0.6, 0.7), word("same", 0.6, 0.9))
    segment = TranscriptSegment(
        start_seconds=0.0, end_seconds=0.9, text="a&b <c> same same", language="en", words=words
    )
    text = format_vtt(build_subtitles(transcript_of(segment)), word_times=True)
    assert "a&amp;b <00:00:00.400>&lt;c&gt; <00:00:00.600>same same" in text


def test_without_speech_and_late_times():
    empty = Transcript(segments=(), duration_seconds=3.0, language="und")
    assert format_srt(build_subtitles(empty)) == ""
    assert format_vtt(build_subtitles(empty)).strip() == "WEBVTT"
    late = TranscriptSegment(
        start_seconds=3723.9996, end_seconds=3725.5, text="x", language="en", words=(word("x", 3723.9996, 3725.5),)
    )
    assert "01:02:04,000 --> 01:02:05,500" in format_srt(build_subtitles(transcript_of(late)))


def test_words_longer_than_a_subtitle_do_not_stay_forever():
    held = TranscriptSegment(
        start_seconds=0.0, end_seconds=30.0, text="aaa", language="en", words=(word("aaa", 0.0, 30.0),)
    )
    (subtitle,) = build_subtitles(transcript_of(held))
    assert subtitle.end_seconds == MAX_SECONDS
