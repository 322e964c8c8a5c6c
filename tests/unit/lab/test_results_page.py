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


def test_error_rates_of_the_readme_are_those_of_the_records():
    readme = " ".join((REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8").replace("\n> ", " ").split())
    load = EvaluationResults.load
    [known] = load(RESULTS / "recognition" / "prompts5_given.json").find(task="asr", metric="wer", source_lang="mean")
    assert f"{known.value:.0f} % of the words are wrong" in readme
    for record in ("stamps", "voices_fr"):
        scores = load(RESULTS / "recognition" / f"{record}.json").find(task="asr", metric="wer")
        assert min(score.value for score in scores) > 80
    assert "on other voices more than 80 %" in readme


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
