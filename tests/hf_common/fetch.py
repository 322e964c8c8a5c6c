# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fetches transformers' own common tests, which ship in its source distribution and not in its wheel.

    python -m tests.hf_common.fetch

unpacks the source distribution of the installed version into a cache. pytest itself downloads nothing: without these
files it leaves the tests of this folder out and says so in one line.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

ENVIRONMENT_VARIABLE = "MU2SLAM_TRANSFORMERS_TESTS"


def cache_folder() -> Path:
    """Where the source distribution of the installed transformers is kept, below `$XDG_CACHE_HOME` or `~/.cache`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mu2slam_hf" / f"transformers-{version('transformers')}"


def find_common_tests() -> Path | None:
    """Folder of `test_modeling_common.py`, in `$MU2SLAM_TRANSFORMERS_TESTS` if that is set, else in the cache."""
    root = Path(os.environ.get(ENVIRONMENT_VARIABLE) or cache_folder())
    folders = (root, root / "tests")  # the variable may name the source distribution or its folder `tests`
    return next((folder for folder in folders if (folder / "test_modeling_common.py").is_file()), None)


def fetch(folder: Path) -> None:
    """Unpacks the source distribution of the installed transformers as `folder`; a failure leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Only transformers itself from source: its build requirements may come as wheels.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        subprocess.run([*command, "--dest", temporary, f"transformers=={version('transformers')}"], check=True)
        with tarfile.open(next(Path(temporary).glob("transformers-*.tar.gz"))) as archive:
            archive.extractall(temporary, filter="data")
        next(path for path in Path(temporary).iterdir() if (path / "tests").is_dir()).rename(folder)


if __name__ == "__main__":
    if find_common_tests() is None:
        fetch(cache_folder())
    print(find_common_tests())
