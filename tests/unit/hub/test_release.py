# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A release: records of these weights only, the stored type, licences, variants, and a list of what was checked."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair
from safetensors import safe_open

from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.tasks.corpora import hash_parameters
from mu2slam_hf.hub import bundle as bundle_module
from mu2slam_hf.hub import release as release_module
from mu2slam_hf.hub.bundle_check import BundleError
from mu2slam_hf.hub.release import VARIANTS, Release, list_files, make_release

FACTS = str(REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml")
SCORE = Score(
    task="asr",
    metric="wer",
    value=33.3,
    source_lang="mean",
    target_lang="mean",
    source_lang_given=True,
    num_items=5,
    signature="words",
)
RECORD = EvaluationResults(
    command="mu2slam evaluate --corpus prompts5",
    created="2026-01-01T00:00:00+00:00",
    git_commit="abc123",
    machine={"cores": 2},
    versions={"python": "3.11"},
    model={"name": "tiny"},
    data={"corpus": "prompts5", "split": "dev"},
    settings={},
    seed=3,
    duration_seconds=9.5,
    scores=(SCORE,),
)


@pytest.fixture(autouse=True)
def no_other_process(monkeypatch):
    monkeypatch.setattr(bundle_module, "compare_in_bare_process", lambda *args: [])


@pytest.fixture
def checkpoint(tmp_path):
    """Stored in half precision, to be loaded in float32."""
    model, processor = make_tiny_pair()
    folder = tmp_path / "checkpoint"
    model.to(torch.bfloat16).save_pretrained(folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"bfloat16"', '"float32"'))
    processor.save_pretrained(folder)
    (folder / "LICENSE").write_text("free")
    return folder, hash_parameters(model)


def save(record, path):
    record.save(path)
    return str(path)


def test_a_release(checkpoint, tmp_path):
    folder, fingerprint = checkpoint
    results = save(replace(RECORD, model={"name": "tiny", "weights_sha256": fingerprint}), tmp_path / "results.json")
    checks = make_release(Release(model=str(folder), facts=FACTS, results=[results]), tmp_path / "upload")
    assert [str(check)[:10].strip() for check in checks] == ["ok"] * 5 + ["yourself"] * 3
    assert "1 scores on the card, from 1 records of these weights" in str(checks[2])
    assert "licence: apache-2.0" in str(checks[1]) and "model.safetensors" in str(checks[4])
    files = list_files(tmp_path / "upload")
    sizes = [size for _, size in files]
    assert dict(files).keys() > {"README.md", "LICENSE", "config.json", "modeling_mu2slam.py", "model.safetensors"}
    assert sizes == sorted(sizes, reverse=True)
    with safe_open(tmp_path / "upload" / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}
    assert '"bfloat16"' not in (tmp_path / "upload" / "config.json").read_text()


def test_a_record_of_other_weights_is_refused(checkpoint, tmp_path):
    for described, found in [({"weights_sha256": "0"}, "0"), ({}, "unknown")]:
        results = save(replace(RECORD, model=described), tmp_path / "results.json")
        with pytest.raises(BundleError, match=rf"other weights \({found}\).*evaluate the model again"):
            make_release(Release(model=str(checkpoint[0]), facts=FACTS, results=[results]), tmp_path / "upload")
    assert not (tmp_path / "upload").exists()


def test_without_facts_the_card_of_the_folder_stays(checkpoint, tmp_path):
    folder = checkpoint[0]
    with pytest.raises(ValueError, match="has no README.md; expected one there, or the facts of a card"):
        make_release(Release(model=str(folder)), tmp_path / "upload")
    head = "language: en\nlibrary_name: transformers\nlicense: other\npipeline_tag: translation"
    (folder / "README.md").write_text(f"---\n{head}\n---\n# x\n\nMade in /home/me/runs.\n")
    checks = {str(check) for check in make_release(Release(model=str(folder)), tmp_path / "upload")}
    assert {check for check in checks if check.startswith("missing")} == {
        "missing   limits on the card",
        "missing   README.md has the local path '/home/me/runs.'",
        "missing   README.md has the license 'other'; state it, or license_name and license_link",
    }
    assert "yourself  0 scores on the card" in checks


def test_variants_are_folders_of_the_release(checkpoint, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown variant '2bit'; expected 8bit"):
        Release(model="default", variants=["2bit"])
    asked = []

    def load(path, **options):
        asked.append(options)
        return make_tiny_pair()

    monkeypatch.setattr(release_module, "load_any_checkpoint", load)
    VARIANTS["8bit"](str(checkpoint[0]), tmp_path / "8bit")
    assert asked == [{"quantization": "int8_weight_only"}]
    assert {"config.json", "model.safetensors", "tokenizer.json", "modeling_mu2slam.py"} <= {
        Path(name).name for name, _ in list_files(tmp_path / "8bit")
    }


def test_scores_need_facts():
    with pytest.raises(ValueError, match="made from facts; none are given"):
        Release(model="default", results=["x.json"])
