# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores against closed forms and a naive edit distance."""

import random

import pytest

from mu2slam_hf.evaluation.scores.metrics import (
    compute_accuracy,
    compute_bleu,
    compute_cer,
    compute_chrf,
    compute_mean,
    compute_wer,
    edit_distance,
)


def naive_edit_distance(reference, hypothesis):
    """The textbook table, row by row."""
    previous = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, start=1):
        current = [i]
        for j, got in enumerate(hypothesis, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (wanted != got)))
        previous = current
    return previous[-1]


@pytest.mark.parametrize("seed", range(20))
def test_edit_distance_equals_the_textbook_table(seed):
    rng = random.Random(seed)
    reference = [rng.choice("abcd") for _ in range(rng.randrange(12))]
    hypothesis = [rng.choice("abcd") for _ in range(rng.randrange(12))]
    assert edit_distance(reference, hypothesis) == naive_edit_distance(reference, hypothesis)
    assert edit_distance(hypothesis, reference) == edit_distance(reference, hypothesis)


def test_words_are_compared_as_wholes():
    assert edit_distance(["ab", "c"], ["a", "bc"]) == 2


def test_wer_pools_the_words_of_the_corpus():
    # 1 of 1 words wrong and 0 of 9: pooled 10 %, the mean of the rates would be 50 %.
    result = compute_wer(["x", "a b c d e f g h i"], ["y", "a b c d e f g h i"])
    assert result.value == pytest.approx(10.0)
    assert result.num_items == 2


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wer", "cer"),
    [
        ("a b", "a b", 0.0, 0.0),
        ("ab cd", "", 100.0, 100.0),
        ("ab", "ab cd", 100.0, 150.0),  # more than 100 % is possible; the space counts
        ("ab cd", "abcd", 100.0, 20.0),
        ("été", "e\u0301te\u0301", 0.0, 0.0),  # the same letters, composed and decomposed
        ("Press 1, please!", "press 1 please", 0.0, 0.0),
    ],
)
def test_rates_of_single_pairs(reference, hypothesis, wer, cer):
    assert compute_wer([reference], [hypothesis]).value == pytest.approx(wer)
    assert compute_cer([reference], [hypothesis]).value == pytest.approx(cer)


def test_normalisation_can_be_switched_off_and_shows_in_the_signature():
    as_is = compute_wer(["Press, please"], ["press please"], normalize=False)
    assert as_is.value == pytest.approx(50.0)
    assert as_is.signature != compute_wer(["a"], ["a"]).signature


@pytest.mark.parametrize("compute", [compute_wer, compute_cer, compute_bleu, compute_chrf])
def test_pairs_must_match(compute):
    with pytest.raises(ValueError, match="got 2 references but 1 hypotheses"):
        compute(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="nothing to score"):
        compute([], [])
    with pytest.raises(ValueError, match="lists of texts"):
        compute("a", "a")


@pytest.mark.parametrize("compute", [compute_wer, compute_cer])
def test_empty_references_have_no_error_rate(compute):
    with pytest.raises(ValueError, match="all references are empty"):
        compute(["", "..."], ["a", ""])


def test_translation_scores_of_perfect_and_of_hopeless_output():
    references = ["the number you have dialed is not in service", "please hold the line"]
    for compute in (compute_bleu, compute_chrf):
        assert compute(references, references).value == pytest.approx(100.0)
        assert compute(references, ["zzz", "qqq"]).value < 1.0


def test_bleu_of_a_known_case():
    # Precisions 4/5, 2/4, 1/3 and, smoothed, 1/(2*2); same length, so no brevity penalty.
    result = compute_bleu(["a b c d e"], ["a b c x e"])
    assert result.value == pytest.approx(100 * (4 / 5 * 2 / 4 * 1 / 3 * 1 / 4) ** 0.25)


def test_signatures_say_how_the_text_was_split():
    assert "tok:13a" in compute_bleu(["a"], ["a"]).signature
    assert "tok:zh" in compute_bleu(["一"], ["一"], target_lang="zh-Hans").signature
    assert "tok:char" in compute_bleu(["ก"], ["ก"], target_lang="th").signature
    assert compute_chrf(["a"], ["a"]).signature.startswith("chrF2|")


def test_accuracy_counts_what_is_exactly_right():
    assert compute_accuracy(["en", "fr", "ru"], ["en", "es", "ru"]).value == pytest.approx(200 / 3)


def test_mean_is_unweighted():
    assert compute_mean([10.0, 20.0, 60.0]) == pytest.approx(30.0)
    with pytest.raises(ValueError, match="mean of no scores"):
        compute_mean([])
