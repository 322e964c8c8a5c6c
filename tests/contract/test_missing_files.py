# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Where files that tests need are missing, pytest leaves the tests out, says so in one line, and downloads nothing."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("processes", [0, 1])
def test_tests_without_their_files_are_deselected(processes, repository_root, tmp_path):
    paths = ["tests/hf_common", "tests/unit/data/corpora/test_registry.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(processes), "-p", "no:cacheprovider", *paths]
    cache = {"XDG_CACHE_HOME": str(tmp_path), "MU2SLAM_TRANSFORMERS_TESTS": "", "MU2SLAM_DATA": str(tmp_path / "none")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=repository_root, env={**environment, **cache}, capture_output=True, text=True, timeout=200
    )
    assert not done.stderr and "skipped" not in done.stdout and " deselected in " in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("left out: ")]
    assert "tests.hf_common.fetch" in line and "MU2SLAM_DATA" in line
    assert not list(tmp_path.iterdir())
