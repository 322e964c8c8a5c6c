# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Folders to write that cannot be written are reported before anything is computed."""

from pathlib import Path

import pytest

from mu2slam_hf.cli import main

COMMANDS = [
    ["add-language", "--lang", "mdw", "--characters", "x"],
    ["init", "--speech-model", "none", "--text-model", "none"],
    ["tone-corpus"],
    ["adapt", ".", "--lang", "mdw"],
    ["align", "a.wav", "text"],
    ["transcribe", "a.wav"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_file_in_place_of_the_output_folder_is_named(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Path("a.wav").write_bytes(b"x")
    Path("taken").write_text("mine")
    assert main([*command, "--output-dir", "taken"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "mu2slam: --output-dir taken: is a file; expected a folder\n" and captured.out == ""
    assert Path("taken").read_text() == "mine"
