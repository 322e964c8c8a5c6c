# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam publish`: what is listed, and that nothing is uploaded unless all is well and it is asked for."""

from types import SimpleNamespace

import pytest
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint

from mu2slam_hf.cli import main
from mu2slam_hf.hub import bundle as bundle_module

FACTS = str(REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml")


class HubStub:
    """A Hub that records what it is asked."""

    def __init__(self):
        self.calls = []

    def create_repo(self, repo_id, **options):
        self.calls.append(("create_repo", options["private"]))
        return SimpleNamespace(repo_id=repo_id)

    def list_repo_refs(self, repo_id):
        return SimpleNamespace(tags=[SimpleNamespace(name="v1")])

    def create_branch(self, repo_id, *, branch, exist_ok):
        self.calls.append(("create_branch", branch))

    def upload_folder(self, *, repo_id, folder_path, revision, commit_message):
        self.calls.append(("upload_folder", revision))
        return SimpleNamespace(commit_url=f"https://example.org/{repo_id}/commit/1", oid="1")

    def create_tag(self, repo_id, *, tag, revision):
        self.calls.append(("create_tag", tag, revision))


@pytest.fixture
def publish(tmp_path_factory, monkeypatch, capsys):
    hub = HubStub()
    monkeypatch.setattr(bundle_module, "HfApi", lambda: hub)
    monkeypatch.setattr(bundle_module, "compare_in_bare_process", lambda *args: [])
    folder = save_tiny_checkpoint(tmp_path_factory.mktemp("publish") / "model")

    def call(*arguments):
        status = main(["publish", "--model", str(folder), "--facts", FACTS, *map(str, arguments)])
        return status, *capsys.readouterr(), hub.calls

    return call


def test_a_dry_run_lists_everything_and_uploads_nothing(publish, tmp_path):
    status, written, _, calls = publish("--dry-run", "--repo", "organisation/tiny")
    assert status == 0 and calls == []
    lines = written.splitlines()
    assert any(line.endswith("  model.safetensors") for line in lines) and "README.md" in written
    assert any(line.startswith("ok        licence: apache-2.0") for line in lines)
    assert sum(line.startswith("yourself") for line in lines) == 4  # no scores
    status, _, errors, _ = publish()
    assert status == 1 and "pass --repo ORG/NAME to upload" in errors
    assert publish("--folder", tmp_path / "upload")[0] == 0 and (tmp_path / "upload" / "config.json").is_file()
    assert publish("--folder", tmp_path / "upload")[0] == 1  # is there already


def test_one_commit_and_a_tag(publish):
    status, written, _, calls = publish("--repo", "organisation/tiny", "--private", "--tag", "v2", "--revision", "try")
    assert status == 0 and written.splitlines()[-1] == "https://example.org/organisation/tiny/commit/1"
    assert calls == [
        ("create_repo", True),
        ("create_branch", "try"),
        ("upload_folder", "try"),
        ("create_tag", "v2", "1"),
    ]


def test_nothing_is_uploaded_over_a_tag(publish):
    status, _, errors, calls = publish("--repo", "organisation/tiny", "--tag", "v1")
    assert status == 1 and "has the tag v1 already" in errors and calls == [("create_repo", None)]


def test_nothing_is_uploaded_if_a_check_fails(publish, tmp_path):
    text = (REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml").read_text()
    facts = tmp_path / "facts.yaml"
    facts.write_text(text.replace("Nobody is to be named.", "See /home/me/notes."))
    status, written, _, calls = publish("--facts", facts, "--repo", "organisation/tiny")
    assert status == 1 and calls == [] and "missing   README.md has the local path '/home/me/notes.'" in written
