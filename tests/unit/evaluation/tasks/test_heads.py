# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The bag of words, beside which classes of texts are measured."""

import pytest

from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.evaluation.tasks import heads


def make_example(text, label, second=None, lang="en"):
    target = Target(task="class", lang=lang, text=label, num_tokens=1)
    return Example(
        id=text, source_modality="text", source_lang=lang, source_text=text, second_text=second, targets=(target,)
    )


def test_the_share_of_words_that_two_texts_have_in_common_decides():
    training = [
        *(make_example(f"a{n} b{n}", "same", f"b{n} a{n}") for n in range(6)),
        *(make_example(f"c{n} d{n}", "other", f"e{n} f{n}") for n in range(6)),
    ]
    test = [
        make_example("seven eight nine", "same", "Nine, seven, EIGHT!"),
        make_example("seven eight nine", "other", "ten eleven", lang="es"),
        make_example("six", "other", "twelve", lang="es"),
        make_example("five", "other", "five", lang="es"),  # it cannot know
    ]
    figures = heads.score_bag_of_words(training, test)
    assert figures["accuracy_bag_of_words"] == 75.0
    assert figures["accuracy_bag_of_words_en"] == 100.0
    assert figures["accuracy_bag_of_words_es"] == pytest.approx(200 / 3)
    assert figures["accuracy_bag_of_words_es_low"] < 200 / 3 < figures["accuracy_bag_of_words_es_high"]


def test_of_equally_frequent_words_the_first_are_features(monkeypatch):
    """Not those that come first in a set, whose order differs from process to process."""
    monkeypatch.setattr(heads, "_MAX_FEATURES", 1)
    words = [f"w{number}" for number in range(30)]
    training = [make_example(" ".join(words), "a"), make_example("something else", "b")]
    test = [make_example("w0", "a"), *(make_example(word, "b") for word in words[1:])]
    assert heads.score_bag_of_words(training, test)["accuracy_bag_of_words"] == 100.0
