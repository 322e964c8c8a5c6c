# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A server of several processes: the answers of one, also after one of them was killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf import load_any_checkpoint, transcribe_recordings
from mu2slam_hf.cli import main

pytest.importorskip("ray", reason="Ray is not installed (extra: scale)")
openai = pytest.importorskip("openai")

RECORDINGS = sorted((REPOSITORY_ROOT / "examples").rglob("*.opus"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address and process of a server with two replicas."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mu2slam_hf", "serve", "--replicas", "2", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path_factory.mktemp("server"),
        env={**os.environ, "HF_HUB_OFFLINE": "1", "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120"},
    )
    line = process.stdout.readline()
    assert line == f"mu2slam serves at http://127.0.0.1:{port}/v1\n"
    yield line.split()[-1], process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0


def find_replicas():
    """Processes of the replicas, by their titles."""
    import psutil

    replicas = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "ServeReplica:" in " ".join(process.cmdline()):
                replicas.append(process.pid)
    return replicas


def ask(client, path):
    with path.open("rb") as file:
        return client.audio.transcriptions.create(model="default", file=file, language=path.parent.name).text


@pytest.mark.slow
def test_replicas_answer_as_one_process_does(server):
    address, _ = server
    client = openai.OpenAI(base_url=address, api_key="none", max_retries=8)
    model, processor = load_any_checkpoint("default")
    expected = []
    for path in RECORDINGS:
        from mu2slam_hf import TranscriptionOptions

        options = TranscriptionOptions(source_lang=path.parent.name)
        expected += [transcript.text for transcript in transcribe_recordings(model, processor, [path], options)]
    assert len(find_replicas()) == 2
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda path: ask(client, path), RECORDINGS * 4))
        assert answers == expected * 4
        # One is killed while requests are on their way; the client sends those again that it had begun.
        os.kill(find_replicas()[0], signal.SIGKILL)
        assert list(pool.map(lambda path: ask(client, path), RECORDINGS * 4)) == expected * 4
    end = time.monotonic() + 120
    while len(find_replicas()) < 2 and time.monotonic() < end:
        time.sleep(1)
    assert len(find_replicas()) == 2
    with pytest.raises(openai.BadRequestError, match="xx"):
        client.audio.transcriptions.create(model="default", file=("a.wav", b"RIFF"), language="xx")


def test_options_are_checked(capsys, monkeypatch):
    assert main(["serve", "--replicas", "2", "--port", "0"]) == 1
    assert "--port 0" in capsys.readouterr().err
    assert main(["serve", "--replicas", "2", "--page"]) == 1
    assert "--page belongs to one process" in capsys.readouterr().err
    monkeypatch.setattr("mu2slam_hf.cli.commands.serve.check_packages", lambda **options: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve", "--replicas", "2"]) == 1
    assert "pip install 'mu2slam-hf[scale]'" in capsys.readouterr().err


def test_unknown_arguments_of_an_application_are_refused():
    from mu2slam_hf.serving.ray_app import build_app

    with pytest.raises(ValueError, match="unknown argument 'modle'"):
        build_app({"modle": "default"})
