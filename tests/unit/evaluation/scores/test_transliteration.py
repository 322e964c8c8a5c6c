# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcripts of speech that switches languages, as they are and in Latin letters."""

import sys

import pytest

from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.evaluation.scores.scoring import format_scores, score_hypotheses
from mu2slam_hf.evaluation.scores.views import Transliterator, score_transliterated


@pytest.fixture(scope="module")
def transliterator():
    pytest.importorskip("uroman", reason="requires the extra transliterate")
    return Transliterator()


def make_hypothesis(number, reference, hypothesis, task="asr"):
    return Hypothesis(
        key=f"{number}/{task}",
        id=str(number),
        task=task,
        source_lang="hi",
        target_lang="hi",
        source_lang_given=True,
        source_text=None,
        reference=reference,
        hypothesis=hypothesis,
    )


def test_scripts_become_latin_letters(transliterator):
    assert transliterator.transliterate("Ваше сообщение, слишком!") == "vashe soobshchenie slishkom"
    assert transliterator.transliterate("été") == "ete"
    assert transliterator.transliterate("फैंसी saree") == transliterator.transliterate("फैंसी SAREE")


def test_another_script_is_less_of_an_error_after_transliteration(transliterator):
    """The second word is written in Latin letters; one word of the second utterance is missing."""
    hypotheses = [
        make_hypothesis(0, "मुझे साड़ी दिखाइए", "मुझे saari दिखाइए"),
        make_hypothesis(1, "मुझे बस दिखाइए", "मुझे bas"),
        make_hypothesis(2, "मुझे", "मुझे", task="mt"),
    ]
    scores = score_transliterated(hypotheses, transliterator)
    raw = {(s.metric, s.source_lang): s.value for s in score_hypotheses(hypotheses[:2])}
    latin = {(s.metric, s.source_lang): s.value for s in scores}
    assert {s.group for s in scores} == {"transliterated"} and {s.task for s in scores} == {"asr"}
    assert raw["wer", "hi"] == pytest.approx(50.0)
    assert latin["wer", "hi"] <= raw["wer", "hi"] - 100 / 6 + 1e-9
    assert latin["cer", "hi"] < 0.7 * raw["cer", "hi"]
    assert all("|uroman:" in s.signature for s in scores)
    assert "hi, transliterated" in format_scores(scores)


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uroman", None)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[transliterate\]'"):
        Transliterator()
