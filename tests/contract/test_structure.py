# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""How the package is divided: folders, small files, public names, and what an upload contains."""

import ast
import inspect
from collections import defaultdict
from pathlib import Path

from helpers import REPOSITORY_ROOT
from package_sources import FILES, PACKAGE, import_graph, name_of, text_of, tree_of

from mu2slam_hf.checkpoints.model_types import MODEL_TYPES

MAX_FILES = 25
MAX_FILES_OF_MODELS = 74  # uploads are flat
MIN_LINES = 40
# Smaller files with one importer, each with its reason.
SMALL_FILES = {
    "mu2slam_hf/data/corpora/stamps.py": "every corpus has its file",
    "mu2slam_hf/training/graph.py": "trainer.py is at its limit of lines",
}
# Public names that are defined in several files, each with its reason.
SHARED_NAMES: dict[str, str] = {}


def test_folders_hold_few_files():
    offenders = []
    for folder in sorted({path.parent for path in FILES}):
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        limit = MAX_FILES_OF_MODELS if folder == PACKAGE / "models" else MAX_FILES
        if len(files) > limit:
            offenders.append(f"{name_of(folder)} has {len(files)} files, more than {limit}; divide it")
    assert not offenders


def test_small_files_have_several_importers():
    """A file that only one other file uses is joined with it, unless it is large enough to be read by itself."""
    importers = defaultdict(set)
    for module, imported in import_graph().items():
        for name in imported:
            importers[name].add(module)
    offenders = []
    for path in FILES:
        module = ".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts)
        if path.name in ("__init__.py", "__main__.py") or path.parent.parent.name == "metric_modules":
            continue
        if "commands" in path.parts:  # every command has its file
            continue
        if len(text_of(path).splitlines()) < MIN_LINES and len(importers[module]) < 2:
            offenders.append(name_of(path))
    assert sorted(offenders) == sorted(SMALL_FILES)


def test_public_names_are_defined_once():
    definitions = defaultdict(set)
    for path in FILES:
        if path.parent.parent.name == "metric_modules":
            continue
        for node in tree_of(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                definitions[node.name].add(name_of(path))
    # Every command has `add_parser` and `run`; every benchmark and corpus declares itself likewise.
    protocol = {"add_parser", "run"}
    offenders = {name: sorted(files) for name, files in definitions.items() if len(files) > 1 and name not in protocol}
    assert sorted(offenders) == sorted(SHARED_NAMES), offenders


def test_every_file_of_models_is_uploaded_with_some_model_type():
    folder = PACKAGE / "models"
    waiting = [Path(inspect.getfile(cls)).name for model_type in MODEL_TYPES.values() for cls in model_type.classes]
    uploaded = set()
    while waiting:
        name = waiting.pop()
        if name in uploaded:
            continue
        uploaded.add(name)
        for node in ast.walk(ast.parse((folder / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting.append(f"{node.module}.py")
    assert {path.name for path in folder.glob("*.py")} - uploaded == {"__init__.py"}
