# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The language of output texts, and scores of the texts that have the right one."""

import csv
import sys

import pytest
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint

from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.score import Hypothesis
from mu2slam_hf.evaluation.scores.scoring import format_scores, score_hypotheses
from mu2slam_hf.evaluation.scores.views import TextLanguageIdentifier, score_language_accuracy

LANGUAGES = ("en", "es", "fr", "it", "ru")


@pytest.fixture(scope="module")
def identifier():
    pytest.importorskip("py3langid", reason="requires the extra langid")
    return TextLanguageIdentifier(LANGUAGES)


def make_hypothesis(lang, number, reference, hypothesis, task="asr"):
    return Hypothesis(
        key=f"{lang}/{number}/{task}",
        id=str(number),
        task=task,
        source_lang=lang if task == "asr" else "en",
        target_lang=lang,
        source_lang_given=True,
        source_text=None,
        reference=reference,
        hypothesis=hypothesis,
    )


def find(scores, **wanted):
    (score,) = [s for s in scores if all(getattr(s, name) == value for name, value in wanted.items())]
    return score


def test_real_sentences_are_identified(identifier, data_root):
    with (data_root / "parallel_text" / "dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for lang in LANGUAGES:
        texts = [row[lang] for row in rows if len(row[lang].split()) > 4][:100]
        found = identifier.identify(texts)
        assert sum(code == lang for code in found) >= 0.95 * len(texts) > 50


def test_texts_in_the_wrong_language_are_counted_and_left_out(identifier):
    english, spanish = "the house is next to the old church", "la casa está al lado de la vieja iglesia"
    hypotheses = [
        make_hypothesis("es", 0, spanish, spanish),
        make_hypothesis("es", 1, spanish, "la casa está al lado de la vieja mesa"),
        make_hypothesis("es", 2, spanish, english),
        make_hypothesis("es", 3, spanish, "..."),
        make_hypothesis("en", 0, english, english),
        make_hypothesis("zu", 0, "sawubona", "sawubona"),
        make_hypothesis("fr", 0, "bonjour à vous", "bonjour à vous", task="ast"),
    ]
    scores = score_language_accuracy(hypotheses, identifier, bootstrap=Bootstrap(num_samples=100))
    accuracy = find(scores, metric="language_accuracy", task="asr", source_lang="es", system="model")
    assert (accuracy.value, accuracy.num_items) == (50.0, 4)
    assert accuracy.interval_low < 50.0 < accuracy.interval_high
    assert accuracy.signature.endswith("languages:en+es+fr+it+ru") and "py3langid" in accuracy.signature
    references = find(scores, metric="language_accuracy", task="asr", source_lang="es", system="reference")
    assert references.value == 100.0
    mean = find(scores, metric="language_accuracy", task="asr", source_lang="mean", system="model")
    assert (mean.value, mean.num_items) == (75.0, 2)
    filtered = find(scores, metric="wer", source_lang="es", group="right language")
    assert (filtered.value, filtered.num_items) == (pytest.approx(100 / 18), 2)
    assert find(scores, metric="bleu", task="ast", target_lang="fr", group="right language").num_items == 1
    assert not [score for score in scores if score.source_lang == "zu"]
    table = format_scores([*score_hypotheses(hypotheses), *scores])
    assert "language accuracy  language accuracy (reference)" in table and "es, right language" in table


def test_variants_are_one_language_and_the_library_must_know_two(identifier):
    assert TextLanguageIdentifier(["pt-BR", "pt", "zh-Hans", "qaa"]).languages == ["pt", "zh"]
    with pytest.raises(ValueError, match="at least two languages to choose from; of en, qaa py3langid knows en"):
        TextLanguageIdentifier(["en", "qaa"])


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[langid\]'"):
        TextLanguageIdentifier(LANGUAGES)


def test_command_adds_both_kinds_of_scores(identifier, tmp_path, capsys):
    pytest.importorskip("uroman", reason="requires the extra transliterate")
    model, results = save_tiny_checkpoint(tmp_path / "model"), tmp_path / "results.json"
    command = ["evaluate", "--manifest", str(REPOSITORY_ROOT / "examples" / "manifest.tsv"), "--tasks", "asr"]
    options = ["--languages", "en,es", "--language-accuracy", "--transliterate", "--max-new-tokens", "4"]
    assert main([*command, *options, "--model", model, "--results", str(results)]) == 0
    record = EvaluationResults.load(results)
    (references,) = record.find(metric="language_accuracy", system="reference", source_lang="mean")
    assert references.value == 100.0 and references.num_items == 2
    assert record.find(metric="language_accuracy", system="model", source_lang="es")
    assert {s.metric for s in record.find(group="transliterated", source_lang="en")} == {"wer", "cer"}
    assert "language accuracy (reference)" in capsys.readouterr().out
