# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fingerprints and the files by which an adaptation continues."""

import json
from dataclasses import replace

import pytest

from mu2slam_hf.adaptation.training.settings import AdaptationSettings
from mu2slam_hf.adaptation.training.workspace import Workspace, describe_changes

SETTINGS = AdaptationSettings(max_steps=5)
RECORDS = {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "now, changes",
    [
        (RECORDS, None),
        ({**RECORDS, "c": "3", "d": "4"}, "2 added (c, ...)"),
        ({"a": "1"}, "1 removed (b)"),
        ({"a": "1", "b": "9", "c": "3"}, "1 added (c), 1 changed (b)"),
    ],
)
def test_changes_of_data_are_named(tmp_path, now, changes):
    assert describe_changes(RECORDS, now) == changes
    workspace = Workspace(tmp_path)
    workspace.check_identity(SETTINGS, RECORDS)
    if changes is None:
        workspace.check_identity(SETTINGS, now)
        return
    with pytest.raises(ValueError, match="the data has changed.*--continue") as raised:
        workspace.check_identity(SETTINGS, now)
    assert changes in str(raised.value)


def test_other_settings_are_refused(tmp_path):
    Workspace(tmp_path).check_identity(SETTINGS, RECORDS)
    with pytest.raises(ValueError, match="began with max_steps 5, not 6"):
        Workspace(tmp_path).check_identity(replace(SETTINGS, max_steps=6), RECORDS)


MORE = {**RECORDS, "c": "3"}


def continue_round(workspace: Workspace, records) -> AdaptationSettings:
    """The next round as `adapt` begins it."""
    settings = workspace.continue_round(SETTINGS, records)
    workspace.check_identity(settings, records)
    return settings


@pytest.fixture
def finished_round(tmp_path) -> Workspace:
    """A folder with a model, from one finished adaptation."""
    workspace = Workspace(tmp_path)
    workspace.check_identity(SETTINGS, RECORDS)
    workspace.trained.mkdir(parents=True)
    workspace.finish({})
    (tmp_path / "config.json").write_text("{}")
    return workspace


def test_the_next_round_starts_from_the_model_of_the_last_one(tmp_path):
    workspace = Workspace(tmp_path)
    assert continue_round(workspace, RECORDS) == SETTINGS
    workspace.path("data.json").write_text("{}")
    for step in (20, 100):
        (workspace.run_dir / f"checkpoint-{step}").mkdir(parents=True)
    first = continue_round(workspace, MORE)
    assert first == replace(SETTINGS, start=str(tmp_path / "adaptation_1" / "run" / "checkpoint-100"))
    assert sorted(path.name for path in workspace.folder.iterdir()) == ["data.json", "identity.json"]
    assert not workspace.continues_model(first.start), "the first round has left no model"

    workspace.trained.mkdir(parents=True)
    workspace.finish({})
    (tmp_path / "config.json").write_text("{}")
    second = continue_round(Workspace(tmp_path), RECORDS)
    assert second.start == str(tmp_path / "adaptation_2" / "run" / "final")
    assert workspace.continues_model(second.start) and not workspace.continues_model("default")


def test_a_rejected_or_interrupted_round_is_not_continued(tmp_path, finished_round):
    """The next one starts where it started, from the model that is in the folder."""
    start = str(tmp_path / "adaptation_1" / "run" / "final")
    assert continue_round(finished_round, MORE).start == start
    finished_round.trained.mkdir(parents=True)
    finished_round.finish({"kept_start": True})
    assert finished_round.kept_start
    assert continue_round(Workspace(tmp_path), RECORDS).start == start
    (finished_round.run_dir / "checkpoint-7").mkdir(parents=True)
    assert continue_round(Workspace(tmp_path), MORE).start == start
    assert sorted(path.name for path in tmp_path.glob("adaptation*")) == [
        "adaptation",
        *(f"adaptation_{number}" for number in (1, 2, 3)),
    ]


def test_the_same_command_resumes_an_interrupted_round(tmp_path, finished_round):
    settings = continue_round(finished_round, MORE)
    assert continue_round(Workspace(tmp_path), MORE) == settings
    assert not (tmp_path / "adaptation_2").exists()


def test_a_round_that_cannot_begin_leaves_everything_as_it_was(tmp_path, finished_round):
    continue_round(finished_round, MORE)
    finished_round.discard_round()
    assert finished_round.is_finished and finished_round.trained.is_dir()
    assert not (tmp_path / "adaptation_1").exists()

    first = Workspace(tmp_path / "other")
    first.check_identity(SETTINGS, RECORDS)
    first.discard_round()
    first.check_identity(replace(SETTINGS, max_steps=6), MORE)


def test_a_model_is_complete_when_it_has_its_configuration(tmp_path):
    workspace = Workspace(tmp_path / "out")
    model = workspace.path("model")
    for name, content in {"config.json": "new", "model.safetensors": "weights"}.items():
        model.mkdir(exist_ok=True)
        (model / name).write_text(content)
    (tmp_path / "out" / "config.json").write_text("old")
    workspace.publish(model)
    assert (tmp_path / "out" / "config.json").read_text() == "new"
    assert (tmp_path / "out" / "model.safetensors").read_text() == "weights"
    assert not workspace.is_finished
    workspace.finish({"after": {"CER": 1.0}})
    assert workspace.is_finished and json.loads(workspace.path("finished.json").read_text()) == {"after": {"CER": 1.0}}
