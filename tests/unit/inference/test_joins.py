# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from dataclasses import replace

import numpy as np
import pytest

from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.transcripts import TranscriptSegment, join_words, split_at_cut, without_overlap


def word(text, start, stop, **options):
    return AlignedWord(text=text, start_seconds=start, end_seconds=stop, score=-0.1, **options)


def texts(words):
    return [one.text for one in words]


def test_text_of_words_and_tokens():
    assert join_words([word("two", 0, 1), word("words", 1, 2)]) == "two words"
    tokens = [word(char, 0, 1, begins_word=begins) for char, begins in (("a", True), ("b", False), ("c", True))]
    assert join_words(tokens) == "ab c"
    assert join_words(tokens[1:]) == "b c" and join_words([]) == ""


def draw_speech(seed):
    """Words without gaps of more than 0.3 s, and a cut in the middle."""
    rng = np.random.default_rng(seed)
    words, time = [], 0.0
    for number in range(60):
        time += rng.choice([0.0, 0.05, 0.3])
        words.append(word(f"w{number}", time, time + rng.uniform(0.1, 0.8)))
        time = words[-1].end_seconds
    return words, time / 2 + rng.uniform(-1, 1)


@pytest.mark.parametrize("seed", range(30))
def test_words_that_both_windows_hear_are_kept_once(seed):
    """Each window hears whole words up to a second beyond the cut, and locates them slightly differently."""
    words, cut = draw_speech(seed)
    rng = np.random.default_rng(seed + 1000)
    earlier = [one for one in words if one.end_seconds <= cut + 1]
    later = [
        replace(one, start_seconds=one.start_seconds + shift, end_seconds=one.end_seconds + shift)
        for one, shift in zip(words, rng.uniform(-0.03, 0.03, len(words)), strict=True)
        if one.start_seconds >= cut - 1
    ]
    kept, rest = split_at_cut(earlier, later, cut)
    assert texts(kept) + texts(rest) == texts(words)
    assert kept[-1].end_seconds < cut + 1 and rest[0].start_seconds > cut - 1.03


def test_halves_of_words_at_the_ends_of_windows_are_dropped():
    earlier = [word("please", 8.0, 8.5), word("leave", 9.0, 9.4), word("a", 9.9, 10.1), word("mess", 10.6, 11.0)]
    later = [word("eave", 9.0, 9.4), word("a", 9.9, 10.1), word("message", 10.6, 11.3), word("now", 11.5, 12)]
    kept, rest = split_at_cut(earlier, later, 10.0)
    assert texts(kept) + texts(rest) == ["please", "leave", "a", "message", "now"]


def spell(words):
    """One token per character, of equal length."""
    for one in words:
        step = (one.end_seconds - one.start_seconds) / len(one.text)
        for place, char in enumerate(one.text):
            start = one.start_seconds + place * step
            yield word(char, start, start + step, begins_word=place == 0)


@pytest.mark.parametrize("seed", range(10))
def test_tokens_are_separated_between_words(seed):
    words, cut = draw_speech(seed)
    earlier = list(spell(one for one in words if one.end_seconds <= cut + 1))
    later = list(spell(one for one in words if one.start_seconds >= cut - 1))
    kept, rest = split_at_cut(earlier, later, cut)
    assert rest[0].begins_word
    assert f"{join_words(kept)} {join_words(rest)}" == " ".join(texts(words))


def test_tokens_of_a_language_without_spaces_are_separated_anywhere():
    tokens = list(spell([word("abcdefghijklmnopqrstuvwxyz", 0.0, 26.0)]))
    kept, rest = split_at_cut(tokens[:14], tokens[12:], 13.2)
    assert "".join(texts(kept) + texts(rest)) == "abcdefghijklmnopqrstuvwxyz"


def test_a_word_that_only_one_window_has_is_kept():
    earlier = [word("one", 9.0, 9.4), word("two", 10.3, 10.6)]
    later = [word("three", 11.5, 11.9)]
    assert texts(sum(split_at_cut(earlier, later, 10.0), [])) == ["one", "two", "three"]
    later = [word("two", 9.4, 9.7), word("three", 11.5, 11.9)]
    assert texts(sum(split_at_cut([word("one", 8.5, 9.0)], later, 10.0), [])) == ["one", "two", "three"]


def test_a_word_across_the_cut_with_different_times_is_kept_once():
    earlier, later = [word("well", 9.7, 10.02)], [word("well", 9.99, 10.3), word("then", 10.4, 10.8)]
    assert texts(sum(split_at_cut(earlier, later, 10.0), [])) == ["well", "then"]


def test_words_far_from_each_other_are_all_kept():
    earlier, later = [word("a", 1, 2)], [word("b", 12, 13)]
    assert split_at_cut(earlier, later, 10.0) == (earlier, later)


@pytest.mark.parametrize("seed", range(20))
def test_segments_are_in_order_and_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    segments = []
    for number in range(rng.integers(0, 12)):
        starts = np.sort(rng.uniform(0, 60, 4))
        words = tuple(word(str(i), a, a + rng.uniform(0, 3)) for i, a in enumerate(starts[:3]))
        channel = None if seed % 2 else number % 2
        segments.append(
            TranscriptSegment(
                start_seconds=words[0].start_seconds,
                end_seconds=max(words[-1].end_seconds, starts[3]),
                text=f"text {number}",
                language="en",
                words=words,
                channel=channel,
            )
        )
    ordered = without_overlap(segments)
    assert sorted(one.text for one in ordered) == sorted(one.text for one in segments)
    latest = max((one.end_seconds for segment in segments for one in (segment, *segment.words)), default=0)
    for channel in (None, 0, 1):
        own = [segment for segment in ordered if segment.channel == channel]
        edges = [edge for segment in own for edge in (segment.start_seconds, segment.end_seconds)]
        inner = [edge for segment in own for one in segment.words for edge in (one.start_seconds, one.end_seconds)]
        assert edges == sorted(edges) and inner == sorted(inner)
        assert all(0 <= edge <= latest for edge in edges + inner)
        for segment in own:
            assert all(segment.start_seconds <= one.start_seconds for one in segment.words)
            assert all(one.end_seconds <= segment.end_seconds for one in segment.words)


def test_segments_without_overlap_are_unchanged():
    segments = [
        TranscriptSegment(start_seconds=a, end_seconds=a + 1, text="x", language="en", words=(word("x", a, a + 1),))
        for a in (0.0, 1.0, 5.0)
    ]
    assert without_overlap(segments[::-1]) == segments
