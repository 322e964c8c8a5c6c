# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the README shows is what works: set-up commands, command lines, Python, links."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, run_python

from mu2slam_hf import default_checkpoint
from mu2slam_hf.cli import build_parser

README = (REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "examples/README.md"]


def fenced_blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """Every command of every block, comments gone; commands joined by && are separate."""
    lines = [line for block in fenced_blocks("bash", text) for line in block.splitlines()]
    parts = [part for line in lines for part in line.split("&&")]
    return [" ".join(shlex.split(part, comments=True)) for part in parts if part.strip()]


def test_set_up_is_exactly_two_commands_that_ci_extracts():
    done = subprocess.run(
        [sys.executable, REPOSITORY_ROOT / ".ci" / "readme_commands.py", REPOSITORY_ROOT / "README.md"],
        capture_output=True,
        text=True,
        check=True,
    )
    main_job, tests = done.stdout.splitlines()
    assert "-c constraints.txt" in main_job
    assert "mu2slam transcribe examples/" in main_job
    assert '-c constraints.txt ".[test]"' in tests
    assert "pytest" in tests


@pytest.mark.parametrize("document", ["README.md", "examples/README.md"])
def test_command_lines_parse_and_name_files_that_are_there(document):
    text = (REPOSITORY_ROOT / document).read_text(encoding="utf-8")
    commands = [line for line in shell_lines(text) if line.startswith("mu2slam ")]
    assert commands
    parser = build_parser()
    for command in commands:
        arguments = parser.parse_args(shlex.split(command)[1:])
        files = [*getattr(arguments, "files", []), getattr(arguments, "recipe", None)]
        for name in filter(None, files):
            if name.startswith(("examples/", "configuration/")):
                assert list(REPOSITORY_ROOT.glob(name)), f"{command}: {name} is not there"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    path = REPOSITORY_ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{document}: {target} is not there"


def test_python_runs_as_shown():
    if not (Path(default_checkpoint()) / "config.json").is_file():
        pytest.skip("the shipped checkpoint is not in this working tree")
    code = f"import os\nos.chdir({str(REPOSITORY_ROOT)!r})\n" + "\n".join(fenced_blocks("python"))
    run_python(code)
