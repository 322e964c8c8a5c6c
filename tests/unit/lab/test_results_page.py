# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The page of results has the figures of the records, and nothing else is taken for a figure."""

import json
import re

import pytest
import yaml
from helpers import REPOSITORY_ROOT

from lab.results_page import ResultsPageError, ResultsRecords, format_results_page
from mu2slam_hf.evaluation.records.results import EvaluationResults

RESULTS = REPOSITORY_ROOT / "results"


def test_the_page_is_that_of_the_records():
    page = (REPOSITORY_ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert page == format_results_page(RESULTS), "run `python -m lab results`"
    assert len(page.split()) <= 2000


def test_every_measurement_says_how_it_was_made():
    for name, measurement in yaml.safe_load((RESULTS / "measurements.yaml").read_text(encoding="utf-8")).items():
        assert set(measurement) == {"figures", "command", "git_commit", "machine", "seed"}, name
        assert measurement["figures"], name


def test_every_measurement_is_on_the_page():
    template = (REPOSITORY_ROOT / "lab" / "configuration" / "results.md").read_text(encoding="utf-8")
    measurements = yaml.safe_load((RESULTS / "measurements.yaml").read_text(encoding="utf-8"))
    assert set(measurements) == set(re.findall(r'measured\("(\w+)"', template))


def test_the_table_of_the_readme_has_the_figures_of_the_records():
    readme = (REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8")
    known, others = (
        EvaluationResults.load(RESULTS / "recognition" / f"{name}.json") for name in ("prompts5_given", "stamps")
    )
    text = EvaluationResults.load(RESULTS / "parallel_text_dev_everyday.json")

    def wrong_words(results: EvaluationResults, lang: str) -> str:
        scores = results.find(task="asr", metric="wer", source_lang=lang)
        return f" {scores[0].value:.0f} % " if scores else " "

    def bleu(lang: str) -> str:
        pairs = (("en", lang), (lang, "en"))
        scores = [text.find(metric="bleu", source_lang=a, target_lang=b, system="model") for a, b in pairs]
        return f" {scores[0][0].value:.0f}, {scores[1][0].value:.0f} " if all(scores) else " "

    languages = ("en", "es", "fr", "it", "ru")
    for cells in ([wrong_words(known, lang) for lang in languages], [wrong_words(others, lang) for lang in languages]):
        assert f"|{'|'.join(cells)}|\n" in readme, cells
    assert f"|{'|'.join(map(bleu, languages))}|\n" in readme


@pytest.fixture
def records(tmp_path):
    (tmp_path / "measurements.yaml").write_text("speed: {figures: {batch_1: 3.50 x}}\n", encoding="utf-8")
    source = EvaluationResults.load(RESULTS / "recognition" / "prompts5_given.json")
    source.save(tmp_path / "given.json")
    (tmp_path / "study").mkdir()
    variants = {
        "reference": {"expected": None, "values": {"1": 30.0, "2": 32.0, "3": 31.0}},
        "other": {"expected": "worse", "values": {"1": 40.0, "2": 43.0, "3": 41.0}},
        "once": {"expected": None, "values": {"1": 40.0}},
    }
    finding = {"metric": "cer", "reference": "reference", "variants": variants}
    (tmp_path / "study" / "values.json").write_text(json.dumps({"pretraining": finding}), encoding="utf-8")
    return ResultsRecords(tmp_path)


def test_figures(records):
    assert records.measured("speed", "batch_1") == "3.50 x"
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\]", records.score("given", "asr", "wer"))
    # Differences 10, 11, 10: mean 10.33, deviation 0.577, Student's quantile for two degrees of freedom 4.303.
    assert records.difference("study", "pretraining", "other") == "+10.3 [+8.9, +11.8] | same sign"


@pytest.mark.parametrize(
    "read",
    [
        lambda records: records.measured("speed", "batch_2"),
        lambda records: records.measured("size", "batch_1"),
        lambda records: records.score("given", "asr", "wer", source_lang="de"),
        lambda records: records.difference("study", "pretraining", "third"),
        lambda records: records.difference("study", "translation", "other"),
        lambda records: records.difference("study", "pretraining", "once"),
    ],
)
def test_figures_that_no_record_has_are_errors(records, read):
    with pytest.raises(ResultsPageError):
        read(records)
