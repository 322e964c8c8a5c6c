# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription by the processes of Ray: the texts of one process, whatever dies."""

import contextlib
import os
import signal
import time

import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.checkpoints.model_choice import ModelChoice
from mu2slam_hf.cli import main
from mu2slam_hf.inference import ray_engine
from mu2slam_hf.inference.journal import JOURNAL_NAME
from mu2slam_hf.inference.ray_engine import RayEngine, group_requests
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest
from mu2slam_hf.inference.transcription_job import transcribe_here

pytest.importorskip("ray", reason="Ray is not installed (extra: scale)")

EXAMPLES = REPOSITORY_ROOT / "examples"
RECORDINGS = sorted(EXAMPLES.rglob("*.opus"))


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, with room for two workers."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def written(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.name != JOURNAL_NAME and path.is_file()
    }


def test_groups_keep_all_recordings_in_order(monkeypatch):
    monkeypatch.setattr(ray_engine, "_TASK_SECONDS", 5.0)
    monkeypatch.chdir(EXAMPLES)
    names = [str(path.relative_to(EXAMPLES)) for path in RECORDINGS]
    requests = [
        TranscriptionRequest(source=name, on_settled=print) for name in [*names, b"bytes", "https://a.b/c.wav"]
    ]
    groups = list(group_requests(requests))
    assert len(groups) > 2
    flat = [request for group in groups for request in group]
    assert [request.source for request in flat] == [*map(str, RECORDINGS), b"bytes", "https://a.b/c.wav"]
    assert not any(request.on_settled or request.journal for request in flat)


@pytest.mark.slow
def test_a_folder_has_the_files_of_one_process(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ray_engine, "_TASK_SECONDS", 4.0)
    options = ["transcribe", str(EXAMPLES), "--to", "en", "--output-format", "txt,json"]
    assert main([*options, "--output-dir", str(tmp_path / "local")]) == 0
    ray_options = [*options, "--output-dir", str(tmp_path / "ray"), "--engine", "ray", "--ray-workers", "2"]
    assert main(ray_options) == 0
    assert written(tmp_path / "ray") == written(tmp_path / "local") != {}
    capsys.readouterr()
    # Everything is in the journal.
    monkeypatch.setattr(RayEngine, "__call__", None)
    assert main(ray_options) == 0


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(cluster, monkeypatch):
    monkeypatch.setattr(ray_engine, "_TASK_SECONDS", 4.0)
    requests = [TranscriptionRequest(source=str(path)) for path in RECORDINGS * 6]
    choice, options = ModelChoice(), TranscriptionOptions()
    expected = list(transcribe_here(choice, requests, options, lambda seconds: None))
    killed = []

    def kill_a_worker(seconds):
        if not killed:
            killed.append(find_worker())
            os.kill(killed[0], signal.SIGKILL)

    started = time.monotonic()
    results = list(RayEngine(num_workers=2)(choice, requests, options, kill_a_worker))
    assert killed and time.monotonic() - started < 300
    assert [result.text for result in results] == [result.text for result in expected]


@pytest.mark.slow
def test_unreadable_recordings_and_wrong_languages(cluster, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    requests = [TranscriptionRequest(source=str(path)) for path in (tmp_path / "broken.wav", RECORDINGS[0])]
    error, transcript = RayEngine(num_workers=1)(ModelChoice(), requests, TranscriptionOptions(), lambda seconds: None)
    assert isinstance(error, ValueError) and "broken.wav" in str(error) and transcript.text
    with pytest.raises(ValueError, match="xx"):
        list(
            RayEngine(num_workers=1)(
                ModelChoice(), requests, TranscriptionOptions(source_lang="xx"), lambda seconds: None
            )
        )


def find_worker():
    """Process of a worker, by its title."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "RayWorker.transcribe" in " ".join(process.cmdline()):
                return process.pid
    raise AssertionError("no worker is busy")


def test_options_are_checked(capsys, monkeypatch):
    assert main(["transcribe", str(RECORDINGS[0]), "--ray-workers", "2"]) == 1
    assert "--ray-workers requires --engine ray" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["transcribe", str(RECORDINGS[0]), "--engine", "ray"]) == 1
    assert "pip install 'mu2slam-hf[scale]'" in capsys.readouterr().err
