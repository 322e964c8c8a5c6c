# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Grouping, means and tables."""

import pytest

from mu2slam_hf.data.corpora.covost2 import RESOURCE_GROUPS
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.evaluation.scores.scoring import NEAREST_SENTENCE, format_scores, score_hypotheses
from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords
from mu2slam_hf.evaluation.scores.views import score_word_groups
from mu2slam_hf.evaluation.tasks.baseline import NearestSentenceBaseline, translate_by_baseline


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


def test_a_language_whose_references_have_no_words_does_not_end_the_evaluation():
    """An hour of decoding must not be lost to a language with one transcript that is `...`."""
    hypotheses = [make_hypothesis("asr", "en", "en", "a b", "a x"), make_hypothesis("asr", "fr", "fr", "...", "a")]
    with pytest.warns(UserWarning, match="no reference of asr in fr has a word"):
        scores = score_hypotheses(hypotheses, bootstrap=Bootstrap(num_samples=40))
    assert {score.source_lang for score in scores} == {"en", "mean"}
    assert find(scores, metric="wer", source_lang="mean").value == pytest.approx(50.0)


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
    assert ["en-zu", "1", "100.0", "0.0", "100.0", "0.0", "0.0", "100.0"] in rows
    order = [row[0] for row in rows if row and row[0] in {"zu", "mean", "en-zu", "en-mean"}]
    assert order.index("zu") < order.index("mean")
    assert order.index("en-zu") < order.index("en-mean")
    assert any(line.strip().startswith("BLEU|nrefs:1") for line in lines)


def test_scores_and_means_have_intervals_that_do_not_depend_on_the_order():
    texts = ["a b c", "d e", "f", "g h i j"]
    hypotheses = [
        make_hypothesis("asr", lang, lang, text, "a b x", id=str(number))
        for lang in ("en", "ru")
        for number, text in enumerate(texts)
    ]
    bootstrap = Bootstrap(num_samples=100, seed=3)
    scores = score_hypotheses(hypotheses, bootstrap=bootstrap)
    assert set(scores) == set(score_hypotheses(hypotheses[::-1], bootstrap=bootstrap))
    english, mean = (find(scores, metric="wer", source_lang=lang) for lang in ("en", "mean"))
    assert english.interval_low < english.value < english.interval_high
    # Both languages have the same errors and, being of the same size, the same draws.
    assert (mean.interval_low, mean.interval_high) == pytest.approx((english.interval_low, english.interval_high))
    shown = f"{english.value:.1f} [{english.interval_low:.1f}, {english.interval_high:.1f}]"
    assert f"en    4  {shown}" in format_scores(scores)


def test_translation_into_english_has_means_by_resources():
    pair = ("good day to you all", "good day to you all")
    hypotheses = [
        make_hypothesis("ast", "fr", "en", *pair),
        make_hypothesis("ast", "de", "en", pair[0], "zzz"),
        make_hypothesis("ast", "zh-CN", "en", *pair),
        make_hypothesis("ast", "en", "fr", *pair),
        make_hypothesis("asr", "fr", "fr", *pair),
    ]
    scores = score_hypotheses(hypotheses, resource_groups=RESOURCE_GROUPS)
    grouped = {s.group: s for s in scores if s.group and s.metric == "bleu"}
    assert set(grouped) == {"high-resource", "mid-resource"}
    assert {(s.source_lang, s.target_lang) for s in grouped.values()} == {("mean", "en")}
    assert (grouped["high-resource"].value, grouped["high-resource"].num_items) == (pytest.approx(50.0, abs=1), 2)
    assert grouped["mid-resource"].value == pytest.approx(100.0)
    assert [s for s in scores if not s.group] == score_hypotheses(hypotheses)
    assert "mean-en, mid-resource" in format_scores(scores)


@pytest.fixture
def word_groups():
    """English: two recordings of known words, one with two unseen words. French: one recording, all unseen."""
    training_words = TrainingWords([SpeechTextRecord(id="1", text="press one two", lang="en")])
    hypotheses = [
        make_hypothesis("asr", "en", "en", "press one", "press one"),
        make_hypothesis("asr", "en", "en", "Press, two!", "press won", id="2"),
        make_hypothesis("asr", "en", "en", "press one five six", "press one five sicks", id="3"),
        make_hypothesis("asr", "en", "en", "press one", "", id="4", told=False),
        make_hypothesis("asr", "en", "en", "...", "noise", id="5"),
        make_hypothesis("asr", "fr", "fr", "un", "un"),
        make_hypothesis("ast", "en", "fr", "un", "un"),
    ]
    return hypotheses, score_word_groups(hypotheses, training_words)


def test_transcription_is_scored_for_recordings_with_and_without_unseen_words(word_groups):
    _, scores = word_groups
    assert {score.task for score in scores} == {"asr"}
    seen = {"group": "seen words", "source_lang": "en", "source_lang_given": True}
    assert find(scores, metric="wer", **seen).value == pytest.approx(25.0)
    assert find(scores, metric="wer", **seen).num_items == 2  # not the one without words
    assert find(scores, metric="unseen_word_rate", **seen).value == 0.0
    assert not [score for score in scores if score.group == "seen words" and score.metric == "unseen_word_recall"]
    unseen = {"group": "unseen words", "source_lang": "en"}
    values = {score.metric: score.value for score in scores if vars(score).items() >= unseen.items()}
    assert values["wer"] == values["unseen_word_rate"] / 2 == 25.0 and values["unseen_word_recall"] == 50.0
    assert find(scores, metric="wer", source_lang_given=False, source_lang="en").value == 100.0


def test_means_of_groups_are_over_the_languages_that_have_them(word_groups):
    _, scores = word_groups
    mean = {"source_lang": "mean", "source_lang_given": True}
    recall = find(scores, metric="unseen_word_recall", group="unseen words", **mean)
    assert (recall.value, recall.num_items) == (75.0, 2)
    assert find(scores, metric="wer", group="seen words", **mean).num_items == 1
    rate = find(scores, metric="unseen_word_rate", group="unseen words", **mean)
    assert rate.value == pytest.approx((50.0 + 100.0) / 2)


def test_groups_have_a_table_of_their_own(word_groups):
    hypotheses, scores = word_groups
    whole = score_hypotheses(hypotheses)
    plain, grouped = format_scores(whole), format_scores([*whole, *scores])
    first = plain.split("\n\n")[0]
    assert grouped.split("\n\n")[0] == first and "group" not in first and "unseen" not in first
    table = grouped.split("\n\n")[1].splitlines()
    header = "ASR n wer cer unseen word rate unseen word recall [source language given]"
    assert table[0].split() == header.split()
    rows = [" ".join(line.split()) for line in table[1:]]
    assert [row.rsplit(" ", 5)[0] for row in rows] == [
        *("en, seen words", "en, unseen words", "fr, unseen words", "mean, seen words", "mean, unseen words")
    ]
    assert rows[0].endswith(" 0.0 -") and rows[1].endswith(" 50.0 50.0")
    assert "unseen_word_recall|pooled" in grouped
