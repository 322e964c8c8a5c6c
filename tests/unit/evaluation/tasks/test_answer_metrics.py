# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""F1 and exact match against cases worked by hand with the definition of SQuAD 1.1."""

import pytest

from mu2slam_hf.evaluation.scores.intervals import wilson_interval
from mu2slam_hf.evaluation.tasks.question_answering import (
    compute_answer_metrics,
    exact_match,
    find_best_sentence,
    normalize_answer,
    token_f1,
)

# Language, prediction, answer, F1, exact match.
WORKED = [
    ("en", "the Eiffel Tower", "Eiffel Tower", 1, 1),  # articles are removed
    ("en", "The tower.", "tower", 1, 1),
    ("en", "in 1889", "1889", 2 / 3, 0),  # precision 1/2, recall 1
    ("en", "Paris, France", "Paris", 2 / 3, 0),
    ("en", "", "Paris", 0, 0),
    ("en", "a", "the", 0, 1),  # both are empty: equal, but without a common word
    ("es", "el río Ebro", "río Ebro", 0.8, 0),  # precision 2/3, recall 1: "el" is no English article
    ("es", "¿Madrid?", "Madrid", 0, 0),  # only ASCII punctuation is removed
    ("es", "A Coruña", "Coruña", 1, 1),
    ("ru", "в 1961 году", "1961", 0.5, 0),  # precision 1/3, recall 1
    ("ru", "Юрий Гагарин", "юрий гагарин", 1, 1),
    ("ru", "«Восток»", "Восток", 0, 0),
    ("ru", "Гагарин", "Юрий Гагарин", 2 / 3, 0),  # precision 1, recall 1/2
    ("sw", "mwaka wa 1964", "1964", 0.5, 0),
    ("sw", "Dar-es-Salaam", "Dar es Salaam", 0, 0),  # hyphens are removed, not replaced by spaces
    ("sw", "mji wa Dodoma", "Dodoma mji", 0.8, 0),  # order does not count for F1
    ("ko", "서울특별시", "서울", 0, 0),  # whole words between spaces
    ("ko", "대한민국 서울", "서울", 2 / 3, 0),
    ("ar", "في القاهرة", "القاهرة", 2 / 3, 0),
    ("ar", "القاهرة،", "القاهرة", 0, 0),
]


@pytest.mark.parametrize(("lang", "prediction", "answer", "f1", "match"), WORKED)
def test_worked_cases(lang, prediction, answer, f1, match):
    assert token_f1(prediction, answer) == pytest.approx(f1)
    assert exact_match(prediction, answer) == match


def test_there_are_20_cases_in_6_languages():
    assert len(WORKED) == 20 and len({case[0] for case in WORKED}) == 6


def test_repeated_words_count_as_often_as_both_have_them():
    assert token_f1("ba ba ba", "ba ba") == pytest.approx(0.8)
    assert normalize_answer(" An  apple-pie, the!") == "applepie"


def test_the_best_of_several_answers_counts_and_questions_are_averaged():
    values = compute_answer_metrics(["in 1889", "Rome"], [["May 1890", "1889"], ["Paris"]])
    assert values["f1"].value == pytest.approx(100 / 3) and values["exact_match"].value == 0
    assert values["f1"].num_items == 2
    with pytest.raises(ValueError, match="at least one answer"):
        compute_answer_metrics(["a"], [[]])
    with pytest.raises(ValueError, match="got 1 and 2"):
        compute_answer_metrics(["a"], [["a"], ["b"]])


def test_the_baseline_finds_the_sentence_about_the_question():
    passage = "The sea is deep. The tower was built in 1889. Nobody lives there."
    assert find_best_sentence("When was the tower built?", passage) == "The tower was built in 1889."
    assert find_best_sentence("Что это?", "") == ""
    assert find_best_sentence("মহাসাগর কয়টি?", "এটি নদী। মহাসাগর পাঁচটি।") == "মহাসাগর পাঁচটি।"


def test_wilson_interval():
    # Worked by hand: z^2 = 3.8415; n = 10, p = 1/2: centre 1/2, margin 0.2634.
    assert wilson_interval(5, 10) == pytest.approx((23.66, 76.34), abs=0.01)
    assert wilson_interval(0, 10) == pytest.approx((0, 27.75), abs=0.01)
    assert wilson_interval(10, 10) == pytest.approx((72.25, 100), abs=0.01)
    with pytest.raises(ValueError, match="at least one item"):
        wilson_interval(0, 0)
