# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Words that training texts do not have: which ones they are, and how many are recognised."""

import random

import pytest

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.metrics import edit_distance
from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords, compute_unseen_words, find_recognized, split_words


def make_record(text, lang, **translations):
    return SpeechTextRecord(id=f"{text}", text=text, lang=lang, audio="x.wav", translations=translations)


@pytest.fixture
def training_words():
    return TrainingWords(
        [
            make_record("Press ONE, please!", "en", fr="Appuyez sur le un"),
            make_record(None, "en"),
            make_record("um dia", "pt-BR"),
        ]
    )


def test_words_of_transcripts_and_translations_by_language(training_words):
    assert training_words.num_words == {"en": 3, "fr": 4, "pt": 2}
    assert training_words.find_unseen(split_words("Please press five."), "en") == [2]
    assert training_words.find_unseen(["un", "press"], "fr") == [1]
    assert training_words.find_unseen(["um", "dia", "só"], "pt") == [2]
    assert training_words.find_unseen(["one"], "de") == [0]
    assert training_words.add([make_record("five", "en", fr="cinq")]) == 2
    assert training_words.find_unseen(split_words("please press five"), "en") == []


def test_a_word_is_recognised_only_at_its_place():
    assert find_recognized("a b c d".split(), "a x c".split()) == {0, 2}
    assert find_recognized("a b".split(), "b a b".split()) == {0, 1}
    assert find_recognized("a b".split(), "b".split()) == {1}
    assert find_recognized("a b c".split(), "x y z a".split()) == set()
    assert find_recognized([], ["a"]) == find_recognized(["a"], []) == set()


@pytest.mark.parametrize("seed", range(10))
def test_recognised_words_are_part_of_an_alignment_of_least_edits(seed):
    rng = random.Random(seed)
    reference, hypothesis = (rng.choices("abc", k=rng.randrange(8)) for _ in range(2))
    found = find_recognized(reference, hypothesis)
    common = [reference[position] for position in sorted(found)]
    rest = iter(hypothesis)
    assert all(word in rest for word in common), "not a subsequence of the hypothesis"
    # Words that are not recognised, on the longer side at least, are edits.
    assert max(len(reference), len(hypothesis)) - len(common) <= edit_distance(reference, hypothesis)


def test_share_and_recall_are_pooled_over_texts(training_words):
    references = ["Press five please", "press one", "press six, seven!"]
    hypotheses = ["press five please", "press won", "press sicks seven"]
    values = compute_unseen_words(references, hypotheses, training_words, "en")
    # five, six and seven are unseen among 8 words; five and seven are recognised.
    assert values["unseen_word_rate"].value == pytest.approx(100 * 3 / 8)
    assert values["unseen_word_recall"].value == pytest.approx(100 * 2 / 3)
    assert {value.num_items for value in values.values()} == {3}


def test_there_is_no_recall_without_unseen_words(training_words):
    values = compute_unseen_words(["press one"], [""], training_words, "en")
    assert {name: value.value for name, value in values.items()} == {"unseen_word_rate": 0.0}
