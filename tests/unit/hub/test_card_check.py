# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Cards are checked without a network: every planted mistake is found, and a good card has none."""

import pytest
import yaml

from mu2slam_hf.hub.card_check import check_card, check_public_card, read_card_data

METRIC = {"type": "wer", "value": 22.1, "name": "mean WER"}
RESULT = {
    "task": {"type": "automatic-speech-recognition"},
    "dataset": {"name": "prompts5", "type": "prompts5"},
    "metrics": [METRIC],
}
METADATA = {
    "language": ["en", "mdw", "zh-Hant"],
    "library_name": "transformers",
    "license": "cc-by-sa-3.0",
    "pipeline_tag": "automatic-speech-recognition",
    "tags": ["mu2slam"],
    "model-index": [{"name": "tiny", "results": [RESULT]}],
}
TEXT = "# A card\n\nSee https://example.org/home/page, runs/x/final and `$MU2SLAM_DATA/tmp/x`.\n"


@pytest.fixture
def write(tmp_path):
    def call(text=TEXT, **changes):
        metadata = {name: value for name, value in {**METADATA, **changes}.items() if value is not None}
        file = tmp_path / "README.md"
        file.write_text(f"---\n{yaml.safe_dump(metadata)}---\n{text}")
        return file

    return call


def test_a_good_card(write):
    file = write()
    assert check_card(file) == check_public_card(file) == []
    assert read_card_data(file.read_text()).eval_results[0].metric_value == 22.1
    assert check_card(write(language="es")) == []


def with_metric(**changes):
    return [{"name": "tiny", "results": [{**RESULT, "metrics": [{**METRIC, **changes}]}]}]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"license": None}, "has no 'license' in its metadata"),
        ({"language": []}, "has no 'language' in its metadata"),
        ({"licence": "mit"}, "has an unknown key 'licence' in its metadata"),
        ({"license": "cc-by-sa"}, "has the license 'cc-by-sa', which the Hub does not know"),
        ({"pipeline_tag": "speech-recognition"}, "has the pipeline_tag 'speech-recognition'; expected one of"),
        ({"library_name": "mu2slam"}, "has the library_name 'mu2slam'; expected transformers"),
        ({"language": ["xx"]}, "has the language 'xx'"),
        ({"language": ["english"]}, "has the language 'english'"),
        ({"language": ["en", False]}, "has the language False"),
        ({"model-index": with_metric(value="22 %")}, "has the score '22 %' of wer on prompts5"),
        ({"model-index": with_metric(value=float("nan"))}, "has the score nan"),
        ({"model-index": [{"name": "tiny", "results": [{"task": {}}]}]}, "the metadata cannot be read"),
    ],
)
def test_each_mistake_is_found(write, changes, sentence):
    (problem,) = check_card(write(**changes))
    assert problem.startswith("README.md") and sentence in problem


def test_metadata_that_cannot_be_read(tmp_path):
    for text in ("# A card\n", "---\nlicense: [\n---\n", "---\n- a\n---\n"):
        (tmp_path / "README.md").write_text(text)
        assert len(check_card(tmp_path / "README.md")) == 1, text


@pytest.mark.parametrize("path", ["/home/me/runs/x", "~/runs", "file:///x", "C:\\Users\\me", "/tmp/x.json"])
def test_names_of_folders_are_not_published(write, path):
    (problem,) = check_public_card(write(f"--model {path}\n"))
    assert f"has the local path {path!r}" in problem


def test_an_unstated_licence_is_not_published(write):
    (problem,) = check_public_card(write(license="other"))
    assert "has the license 'other'; state it" in problem
    stated = {"license": "other", "license_name": "mine", "license_link": "https://example.org"}
    assert check_public_card(write(**stated)) == []
