# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Grouping, means and tables."""

import pytest

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.baseline import NearestSentenceBaseline
from mu2slam_hf.evaluation.decode import Hypothesis
from mu2slam_hf.evaluation.scoring import (
    NEAREST_SENTENCE,
    format_scores,
    score_hypotheses,
    translate_by_baseline,
)


def make_hypothesis(task, source, target, reference, hypothesis, *, id="1", told=True, source_text="good day"):
    return Hypothesis(
        key=f"{id}/{source}>{target}/{task}/{told}",
        id=id,
        task=task,
        source_lang=source,
        target_lang=target,
        source_lang_given=told,
        source_text=source_text,
        reference=reference,
        hypothesis=hypothesis,
    )


def find(scores, **wanted):
    (score,) = [s for s in scores if all(getattr(s, name) == value for name, value in wanted.items())]
    return score


def test_asr_is_scored_per_language_and_averaged_over_languages():
    hypotheses = [
        make_hypothesis("asr", "en", "en", "a b", "a x"),
        make_hypothesis("asr", "en", "en", "a b", "a b", id="2"),
        make_hypothesis("asr", "ru", "ru", "я", "ты"),
        make_hypothesis("asr", "ru", "ru", "я", "я", told=False),
    ]
    scores = score_hypotheses(hypotheses)
    assert find(scores, metric="wer", source_lang="en").value == pytest.approx(25.0)
    assert find(scores, metric="wer", source_lang="ru", source_lang_given=True).value == pytest.approx(100.0)
    mean = find(scores, metric="wer", source_lang="mean", source_lang_given=True)
    assert mean.value == pytest.approx(62.5)
    assert mean.num_items == 2
    assert find(scores, metric="wer", source_lang="mean", source_lang_given=False).value == 0.0


def test_translation_has_means_out_of_and_into_english():
    perfect, wrong = ("good day to you all", "good day to you all"), ("good day to you all", "zzzz")
    scores = score_hypotheses(
        [
            make_hypothesis("ast", "en", "fr", *perfect),
            make_hypothesis("ast", "fr", "en", *wrong),
            make_hypothesis("ast", "fr", "it", *perfect),
        ]
    )
    out_of = find(scores, metric="chrf", source_lang="en", target_lang="mean").value
    into = find(scores, metric="chrf", source_lang="mean", target_lang="en").value
    assert out_of == pytest.approx(100.0)
    assert into < 1.0
    overall = find(scores, metric="chrf", source_lang="mean", target_lang="mean").value
    assert overall == pytest.approx((200.0 + into) / 3)


def test_baseline_translates_what_was_recognised_not_what_was_said():
    baseline = NearestSentenceBaseline(
        [
            SpeechTextRecord(id="1", text="good day", lang="en", translations={"fr": "bonjour"}),
            SpeechTextRecord(id="2", text="wrong way", lang="en", translations={"fr": "demi-tour"}),
        ]
    )
    hypotheses = [
        make_hypothesis("asr", "en", "en", "good day", "wrong wy"),
        make_hypothesis("ast", "en", "fr", "bonjour", "?"),
        make_hypothesis("mt", "en", "fr", "bonjour", "?"),
    ]
    answers = translate_by_baseline(hypotheses, baseline)
    assert [(answer.task, answer.hypothesis) for answer in answers] == [("ast", "demi-tour"), ("mt", "bonjour")]
    with pytest.raises(ValueError, match="evaluate asr together with ast"):
        translate_by_baseline(hypotheses[1:], baseline)


def test_table_shows_model_and_baseline_side_by_side_and_means_last():
    hypotheses = [
        make_hypothesis("asr", "zu", "zu", "a", "a"),
        make_hypothesis("ast", "en", "zu", "good day to you all", "good day to you all"),
    ]
    baseline = [make_hypothesis("ast", "en", "zu", "good day to you all", "zzz")]
    scores = [*score_hypotheses(hypotheses), *score_hypotheses(baseline, system=NEAREST_SENTENCE)]
    lines = format_scores(scores).splitlines()
    header = next(line for line in lines if line.startswith("AST"))
    assert header.split()[:6] == ["AST", "n", "bleu", "bleu", "(nearest)", "chrf"]
    assert "source language given" in header
    rows = [line.split() for line in lines]
    assert ["en-zu", "1", "100.0", "0.0", "100.0", "0.0"] in rows
    order = [row[0] for row in rows if row and row[0] in {"zu", "mean", "en-zu", "en-mean"}]
    assert order.index("zu") < order.index("mean")
    assert order.index("en-zu") < order.index("en-mean")
    assert any(line.strip().startswith("BLEU|nrefs:1") for line in lines)
