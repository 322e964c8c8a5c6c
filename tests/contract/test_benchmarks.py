# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The suite of benchmarks: names, options, tables, and the commands in the documents. Nothing is measured."""

import shlex
import sys

import pytest
from document_blocks import RESULTS, command_lines, find_documents, read_blocks
from helpers import REPOSITORY_ROOT

PREFIX = ["python", "-m", "benchmarks"]
COMMANDS = sorted(
    {
        command[command.index("python -m benchmarks") :]
        for document in (*find_documents(), "CONTRIBUTING.md", *RESULTS)
        for block in read_blocks(document)
        if block.language == "bash"
        for command in command_lines(block.text)
        if "python -m benchmarks" in command
    }
)


@pytest.fixture(scope="module")
def suite():
    sys.path.insert(0, str(REPOSITORY_ROOT))
    try:
        from benchmarks import __main__

        yield __main__
    finally:
        sys.path.remove(str(REPOSITORY_ROOT))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_documents(suite, command):
    words = shlex.split(command, comments=True)
    assert words[:3] == PREFIX
    assert set(suite.read_options(words[3:])) <= set(suite.BENCHMARKS)


def test_names_and_options(suite, capsys):
    for name, module in suite.BENCHMARKS.items():
        assert module.__doc__ and callable(module.run), name
        with pytest.raises(SystemExit) as end:
            suite.read_options([name, "--help"])
        assert end.value.code == 0 and module.__doc__.splitlines()[0] in capsys.readouterr().out
    assert list(suite.read_options(["--repeats", "2"])) == list(suite.DEFAULT)
    both = suite.read_options(["features", "codebook_search", "--repeats", "2"])
    assert both["codebook_search"].frames == 10_000 and {options.repeats for options in both.values()} == {2}
    for wrong in (["speed"], ["features", "--frames", "3"], ["word_times", "joined_recordings"]):
        with pytest.raises(SystemExit) as end:
            suite.read_options(wrong)
        assert end.value.code == 2
    assert "unknown benchmark 'speed'; expected features, " in capsys.readouterr().err


def test_reports(suite):
    rows = [{"system": "a", "milliseconds": 12.3456, "ok": True}, {"system": "b", "milliseconds": 12345.6, "ok": ""}]
    report = {
        "command": "python -m benchmarks features",
        "machine": {"threads": 2},
        "limits": {"copy": 1.0},
        "benchmarks": {"features": rows},
    }
    text = suite.format_report(report)
    assert "| a | 12.3 | True |\n| b | 12346 |  |\n" in text
    assert "\n`python -m benchmarks features`\n" in text and suite.BENCHMARKS["features"].__doc__ in text
