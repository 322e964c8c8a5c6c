# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam serve`: arguments, and what is refused before a model is loaded."""

import argparse
import importlib.util
import socket

import pytest

from mu2slam_hf.cli import main
from mu2slam_hf.cli.commands import serve


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = main(["serve", "--port", "0", *map(str, arguments)])
        return status, capsys.readouterr().err

    return call


def test_names_of_models(tmp_path):
    (tmp_path / "it-model").mkdir()
    assert serve.read_named_model("default") == ("default", "default")
    assert serve.read_named_model("org/name") == ("org/name", "org/name")
    assert serve.read_named_model(str(tmp_path / "it-model")) == ("it-model", str(tmp_path / "it-model"))
    assert serve.read_named_model("a=b=c") == ("a", "b=c")
    for wrong in ("=path", "name="):
        with pytest.raises(ValueError, match="expected PATH or NAME=PATH"):
            serve.read_named_model(wrong)


@pytest.mark.parametrize(
    ("missing", "options", "sentence"),
    [
        ("fastapi", [], "mu2slam serve requires fastapi: pip install 'mu2slam-hf[serve]'"),
        ("gradio", ["--page"], "mu2slam serve --page requires gradio: pip install 'mu2slam-hf[page]'"),
    ],
)
def test_a_missing_extra(run, monkeypatch, missing, options, sentence):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert run(*options) == (1, f"mu2slam: {sentence}\n")


def test_what_is_refused(run, tmp_path):
    (tmp_path / "keys").write_text("# none\n\n")
    for arguments, sentence in [
        (["--model", "default", "--model", "default"], "--model default=default: the name default is given twice"),
        (["--model", tmp_path / "gone"], "gone"),
        (["--adapter", f"a={tmp_path / 'gone'}"], "no such folder"),
        (["--api-key-file", tmp_path / "keys"], "expected keys, one per line; it has none"),
        (["--api-key-file", tmp_path / "gone"], "no such file"),
    ]:
        status, errors = run(*arguments)
        assert status == 1 and sentence in errors and errors.count("\n") == 1


def test_an_address_that_cannot_be_served(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("--port", port) == (
            1,
            f"mu2slam: --host 127.0.0.1 --port {port}: cannot be served (Address already in use)\n",
        )
    assert "--host 192.0.2.1 --port 0: cannot be served" in run("--host", "192.0.2.1")[1]


def test_a_warning_of_open_doors(run):
    assert (
        "--host 192.0.2.1 without --api-key-file: everybody who reaches it can use it" in run("--host", "192.0.2.1")[1]
    )
    assert serve.is_loopback("127.0.0.1") and serve.is_loopback("::1") and serve.is_loopback("localhost")
    assert not serve.is_loopback("0.0.0.0") and not serve.is_loopback("example.org")


def test_limits_are_those_of_the_options():
    parser = argparse.ArgumentParser()
    serve.add_limits(parser)
    chosen = vars(parser.parse_args(["--max-upload", "0.5", "--max-requests", "3", "--grace", "9"]))
    assert (chosen["upload_megabytes"], chosen["requests"], chosen["grace_seconds"]) == (0.5, 3, 9.0)
    assert chosen["audio_seconds"] == 14400.0 and "(14400)" in parser.format_help()
