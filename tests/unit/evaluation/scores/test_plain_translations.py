# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Translations that differ in case and punctuation only."""

from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.evaluation.scores.scoring import format_scores, score_hypotheses
from mu2slam_hf.evaluation.scores.views import score_plain_translations


def make_hypothesis(number: int, reference: str, hypothesis: str, task: str = "ast") -> Hypothesis:
    return Hypothesis(
        key=f"{number}/{task}",
        id=str(number),
        task=task,
        source_lang="mdw",
        target_lang="mdw" if task == "asr" else "fr",
        source_lang_given=True,
        source_text=None,
        reference=reference,
        hypothesis=hypothesis,
    )


def test_case_and_punctuation_do_not_count():
    hypotheses = [
        make_hypothesis(0, "Le chat dort sur le lit .", "le chat , dort sur le lit"),
        make_hypothesis(1, "Il a vu trois singes !", "il a vu trois chiens ."),
        make_hypothesis(2, "Mwána", "mwána", task="asr"),
    ]
    as_they_are = {s.metric: s.value for s in score_hypotheses(hypotheses[:2]) if s.target_lang == "fr"}
    scores = score_plain_translations(hypotheses, bootstrap=Bootstrap(num_samples=50))
    plain = {s.metric: s.value for s in scores if s.target_lang == "fr"}
    assert {s.task for s in scores} == {"ast"} and {s.group for s in scores} == {"plain"}
    words = [make_hypothesis(0, "a b c d e f", "a b c d e f"), make_hypothesis(1, "g h i j k", "g h i j l")]
    assert plain["bleu"] == next(s.value for s in score_hypotheses(words) if s.metric == "bleu")
    assert plain["bleu"] > as_they_are["bleu"] and plain["ter"] < as_they_are["ter"]
    assert all(s.interval_low <= s.value <= s.interval_high for s in scores)
    assert all(s.signature.endswith("|text:nfkc+lower+nopunct") for s in scores if s.target_lang == "fr")
    assert "mdw-fr, plain" in format_scores(scores)
