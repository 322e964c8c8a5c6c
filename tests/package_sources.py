# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The source files of the package: texts, trees and imports, read once."""

import ast
from functools import cache
from pathlib import Path

from helpers import REPOSITORY_ROOT

PACKAGE = REPOSITORY_ROOT / "mu2slam_hf"
LAB = REPOSITORY_ROOT / "lab"
SCRIPTS = REPOSITORY_ROOT / "training_scripts"
FILES = sorted(PACKAGE.rglob("*.py"))
LAB_FILES = sorted(LAB.rglob("*.py"))
SOURCES = [*FILES, *LAB_FILES, *sorted(SCRIPTS.glob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY_ROOT).as_posix()


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@cache
def imports_of(path: Path, skip_type_checking: bool = True) -> list[str]:
    """Dotted names of all that a file imports from this repository, inside functions too."""
    tree = tree_of(path)
    hidden = set()
    if skip_type_checking:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                hidden |= {id(child) for part in node.body for child in ast.walk(part)}
    names = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(REPOSITORY_ROOT).with_suffix("").parts[: -node.level]
            names += [".".join([*parents, *(node.module or "").split("."), alias.name]) for alias in node.names]
    return [name for name in names if name.split(".")[0] in ("mu2slam_hf", "lab")]


@cache
def import_graph() -> dict[str, set[str]]:
    """Module -> modules of the repository that it imports."""
    paths = [*FILES, *LAB_FILES]
    modules = {".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts): path for path in paths}
    edges = {name: {module_of(imported, modules) for imported in imports_of(path)} for name, path in modules.items()}
    return {name: {other for other in others if other and other != name} for name, others in edges.items()}


def module_of(name: str, modules: dict[str, Path]) -> str | None:
    """The module of a dotted name that may end in something defined in it; packages count as their `__init__`."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        for candidate in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if candidate in modules:
                return candidate
    return None
