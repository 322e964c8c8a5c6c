# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Results records survive the disk, and refuse what they are not."""

import json
import subprocess
import sys

import pytest

from mu2slam_hf.evaluation.records.results import (
    EvaluationResults,
    ResultsError,
    current_commit,
    describe_command,
    describe_machine,
    describe_versions,
)
from mu2slam_hf.evaluation.scores.score import Score


def make_score(**changes):
    fields = {
        "task": "asr",
        "metric": "wer",
        "value": 12.5,
        "source_lang": "en",
        "target_lang": "en",
        "source_lang_given": True,
        "num_items": 3,
        "signature": "wer|pooled",
    }
    return Score(**{**fields, **changes})


def make_results(**changes):
    fields = {
        "command": "mu2slam evaluate",
        "created": "2026-01-01T00:00:00+00:00",
        "git_commit": None,
        "machine": {"cores": 2},
        "versions": {"python": "3.11"},
        "model": {"name": "default"},
        "data": {"corpus": "prompts5"},
        "settings": {},
        "seed": 0,
        "duration_seconds": 1.5,
        "scores": (make_score(), make_score(metric="cer", value=1.0), make_score(source_lang="ru", target_lang="ru")),
    }
    return EvaluationResults(**{**fields, **changes})


def test_save_and_load_give_the_same_record(tmp_path):
    results = make_results()
    results.save(tmp_path / "deep" / "results.json")
    assert EvaluationResults.load(tmp_path / "deep" / "results.json") == results
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["results.json"]


def test_records_without_fields_that_have_a_default_can_be_read(tmp_path):
    path = tmp_path / "results.json"
    make_results().save(path)
    content = json.loads(path.read_text())
    for score in content["scores"]:
        assert score.pop("group") is None
    path.write_text(json.dumps(content))
    assert EvaluationResults.load(path) == make_results()


def test_find_selects_by_fields():
    results = make_results()
    assert [score.source_lang for score in results.find(metric="wer")] == ["en", "ru"]
    assert results.find(metric="wer", source_lang="fr") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99}, "expected a results record of version 1, got 99"),
        ({"seeed": 1}, r"unknown fields \['seeed'\]"),
        ({"scores": [{"task": "asr"}]}, "a score: missing fields"),
    ],
)
def test_load_says_what_is_wrong(tmp_path, change, message):
    path = tmp_path / "results.json"
    make_results().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ResultsError, match=message):
        EvaluationResults.load(path)


def test_load_refuses_what_is_not_json(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("{")
    with pytest.raises(ResultsError, match="not valid JSON"):
        EvaluationResults.load(path)


@pytest.mark.parametrize("program", ["/usr/bin/mu2slam", "/somewhere/mu2slam_hf/cli/__main__.py"])
def test_command_can_be_typed_again(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program, "evaluate", "--root", "my data"])
    assert describe_command() == "mu2slam evaluate --root 'my data'"


def test_machine_and_versions_name_what_matters():
    assert {"platform", "processor", "cores", "threads", "device"} <= set(describe_machine())
    assert {"python", "torch", "transformers", "sacrebleu"} <= set(describe_versions())


def test_commit_says_whether_files_were_changed(tmp_path):
    assert current_commit(tmp_path / "nowhere") is None

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    commit = current_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "file").write_text("two")
    assert current_commit(tmp_path) == commit + "-dirty"
