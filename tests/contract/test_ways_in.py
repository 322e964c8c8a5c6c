# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The extensions that CONTRIBUTING describes, as worked examples applied to a copy of the package.

Each folder of `tests/ways_in` has `new/` (files to add), `edits.yaml` (lines to insert or replace in existing files)
and `check.py`, whose `check(folder)` uses the extension.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import REPOSITORY_ROOT

WAYS_IN = REPOSITORY_ROOT / "tests" / "ways_in"

# Most existing files that may be edited.
MAX_EDITED_FILES = {
    "corpus": 1,
    "loss": 2,
    "task": 2,
    "masking_schedule": 1,
    "tokenizer": 1,
    "model_family": 2,
    "command": 1,
}

RUN_CHECKS = """
import importlib.util, json, os, pathlib, sys, traceback
from mu2slam_hf.data.tones import write_tone_corpus
os.environ["MU2SLAM_TINY"] = str(write_tone_corpus(pathlib.Path(sys.argv[1], "tones"), num_sentences=4).parent)
results = {}
for path in map(pathlib.Path, sys.argv[2:]):
    folder = pathlib.Path(sys.argv[1]) / path.parent.name
    folder.mkdir()
    try:
        spec = importlib.util.spec_from_file_location(f"check_{path.parent.name}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.check(folder)
        results[path.parent.name] = "passed"
    except Exception:
        results[path.parent.name] = traceback.format_exc()
pathlib.Path(sys.argv[1], "results.json").write_text(json.dumps(results))
"""


def read_edits(name: str) -> list[dict[str, str]]:
    path = WAYS_IN / name / "edits.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def apply_edit(package: Path, edit: dict[str, str]) -> None:
    """Insert a line before or after the one line that is given, or replace a text that occurs once."""
    path = package / edit["file"]
    text = path.read_text(encoding="utf-8")
    anchor = edit.get("after") or edit.get("before") or edit["replace"]
    occurrences = text.splitlines().count(anchor) if "insert" in edit else text.count(anchor)
    assert occurrences == 1, f"{edit['file']} has {anchor!r} {occurrences} times"
    if "after" in edit:
        text = text.replace(f"{anchor}\n", f"{anchor}\n{edit['insert']}\n", 1)
    elif "before" in edit:
        text = text.replace(f"{anchor}\n", f"{edit['insert']}\n{anchor}\n", 1)
    else:
        text = text.replace(anchor, edit["by"])
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, str]:
    """Outcome of each check, all in one process on one copy of the package with all examples applied."""
    root = tmp_path_factory.mktemp("ways_in")
    package = root / "mu2slam_hf"
    shutil.copytree(REPOSITORY_ROOT / "mu2slam_hf", package, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "configuration").symlink_to(REPOSITORY_ROOT / "configuration")
    for name in MAX_EDITED_FILES:
        if (WAYS_IN / name / "new").is_dir():
            for path in (WAYS_IN / name / "new").rglob("*.py"):
                target = package / path.relative_to(WAYS_IN / name / "new")
                assert not target.exists(), f"{target} exists"
                shutil.copy(path, target)
        for edit in read_edits(name):
            apply_edit(package, edit)
    outcome = root / "outcome"
    outcome.mkdir()
    checks = [str(WAYS_IN / name / "check.py") for name in MAX_EDITED_FILES]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", RUN_CHECKS, str(outcome), *checks], env=environment, cwd=root, check=True)
    return json.loads((outcome / "results.json").read_text())


@pytest.mark.parametrize("name", MAX_EDITED_FILES)
def test_worked_example(name, results):
    edited = {edit["file"] for edit in read_edits(name)}
    assert len(edited) <= MAX_EDITED_FILES[name], f"{name} edits {sorted(edited)}"
    assert results[name] == "passed", results[name]


def test_contributing_names_every_example_and_the_files_to_edit():
    text = (REPOSITORY_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in MAX_EDITED_FILES:
        (row,) = [line for line in text.splitlines() if f"(tests/ways_in/{name})" in line]
        for file in {edit["file"] for edit in read_edits(name)}:
            generic = file.replace("supervised", "<kind>")
            assert f"`{file}`" in row or f"`{generic}`" in row or file.startswith("models/modeling_"), (name, file)
