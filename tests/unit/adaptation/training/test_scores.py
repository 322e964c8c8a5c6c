# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which of two models is the better one."""

from mu2slam_hf.adaptation.training.scores import is_better, mean_error

BEFORE = {"CER of transcription": 42.6, "WER of transcription": 77.3, "BLEU of translation into en": 16.2}
AFTER = {"CER of transcription": 42.3, "WER of transcription": 79.2, "BLEU of translation into en": 13.2}


def test_the_mean_error_counts_what_is_missing_of_a_translation():
    assert mean_error({"CER of transcription": 10.0, "chrF of translation into fr": 70.0}) == 20.0


def test_a_little_less_of_one_error_does_not_outweigh_the_others():
    assert is_better(BEFORE, AFTER) and not is_better(AFTER, BEFORE)
    assert is_better(AFTER, BEFORE | {"BLEU of translation into en": 5.0})


def test_equal_or_missing_scores_are_not_better():
    assert not is_better(BEFORE, BEFORE)
    assert not is_better({}, AFTER) and not is_better({}, {})
    assert not is_better({"CER of transcription": 1.0}, AFTER)
