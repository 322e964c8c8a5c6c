# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The README: set-up commands that CI extracts, Python that runs in a fresh interpreter, and a bound on its length.

That its blocks run and write what is shown is checked with the other documents (`test_documents.py`).
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from document_blocks import read_blocks
from helpers import REPOSITORY_ROOT, run_python

from mu2slam_hf import default_checkpoint

README = (REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8")
MAX_WORDS = 700


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


def test_it_is_short():
    prose = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\]\([^)]*\)|<!--.*?-->", "", prose, flags=re.DOTALL)
    num_words = len(re.findall(r"\w[\w'.,-]*", prose))
    assert num_words <= MAX_WORDS, f"README.md has {num_words} words outside of code blocks, at most {MAX_WORDS}"


def test_python_runs_in_a_fresh_interpreter():
    if not (Path(default_checkpoint()) / "config.json").is_file():
        pytest.skip("the shipped checkpoint is not in this working tree")
    code = [block.text for block in read_blocks("README.md") if block.language == "python"]
    run_python(f"import os\nos.chdir({str(REPOSITORY_ROOT)!r})\n" + "\n".join(code))
