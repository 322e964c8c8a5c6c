# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Who may import whom, and how long a file or a function may be."""

import ast
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT

PACKAGE = REPOSITORY_ROOT / "mu2slam_hf"
SCRIPTS = REPOSITORY_ROOT / "training_scripts"

# Low to high; a package imports from lower ones only. Those on one level do not know one another.
LAYERS = {
    "models": 0,
    "checkpoints": 1,
    "interop": 1,
    "data": 1,
    "growth": 1,
    "quantization": 2,
    "synthetic": 2,
    "training": 3,
    "evaluation": 3,
    "recipes": 4,
    "adaptation": 6,
    "hub": 5,
    "cli": 7,
}
# Inside data/: the files of data itself, then its sub-packages.
DATA_LAYERS = {"": 0, "corpora": 1, "examples": 1, "sampling": 2, "collation": 2}
# The top of the package fetches names from anywhere, by name and on first use.
TOP = {"__init__", "atomic_files", "registration"}

# Inside models/, by the first word of a file's name.
MODEL_LAYERS = {
    "configuration": 0,
    "modules": 1,
    "language": 1,
    "task": 1,
    "feature": 2,
    "tokenization": 2,
    "generation": 2,
    "modeling": 3,
    "processing": 3,
    "pipeline": 4,
    "model": 5,
}

MAX_LINES = {"modeling": 800, "library": 400, "script": 80}
MAX_FUNCTION_LINES = 60
# Longer functions, without their docstrings, each with its reason.
LONG_FUNCTIONS = {
    ("modeling_mu2slam.py", "Mu2SLAMModel.forward"): "hands some twenty named inputs of two stacks from the caller on",
    ("modeling_mu2slam.py", "Mu2SLAMForConditionalGeneration.forward"): "the same, and names a dozen outputs",
    ("modeling_mu2slam_pretraining.py", "Mu2SLAMForPreTraining.forward"): "names two dozen tensors of a packed batch",
}

FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*FILES, *sorted(SCRIPTS.glob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY_ROOT))


def imports_of(path: Path, skip_type_checking: bool = True) -> list[str]:
    """Dotted names of all that a file imports from this package, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = set()
    if skip_type_checking:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                hidden |= {id(child) for part in node.body for child in ast.walk(part)}
    found = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(REPOSITORY_ROOT).with_suffix("").parts[: -node.level]
            found += [".".join([*parents, *(node.module or "").split("."), alias.name]) for alias in node.names]
    return [name for name in found if name.split(".")[0] == "mu2slam_hf"]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_layers_of_the_package(path):
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if part in TOP:
        return
    for name in imports_of(path):
        other = (name.split(".") + ["__init__"])[1]
        if other == part or other not in LAYERS:
            # The version and the public names of the top may be read by the outermost layers.
            assert other == part or LAYERS[part] >= 2, f"{part} imports {name}"
            continue
        assert LAYERS[other] < LAYERS[part], f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "data").rglob("*.py")), ids=name_of)
def test_data_does_not_know_the_models(path):
    assert not [name for name in imports_of(path) if ".modeling_" in name]


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=name_of)
def test_layers_inside_models(path):
    if path.stem == "__init__":
        assert imports_of(path) == []
        return
    own = MODEL_LAYERS[path.stem.split("_")[0]]
    for name in imports_of(path, skip_type_checking=False):
        other = name.split(".")[2]
        assert MODEL_LAYERS[other.split("_")[0]] <= own, f"{path.name} imports {other}"
        if path.stem.startswith("configuration_"):
            assert other.startswith("configuration_")


def test_sub_packages_of_data_are_in_layers():
    for path in sorted((PACKAGE / "data").rglob("*.py")):
        own = sub_package_of(".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts))
        for name in imports_of(path):
            if name.startswith("mu2slam_hf.data."):
                other = sub_package_of(name)
                assert other == own or DATA_LAYERS[other] < DATA_LAYERS[own], f"{name_of(path)} imports {name}"


def sub_package_of(module: str) -> str:
    """`examples` of `mu2slam_hf.data.examples.draws...`; the empty name for the files of `data` itself."""
    part = module.split(".")[2]
    return part if (PACKAGE / "data" / part).is_dir() else ""


def test_no_import_cycles():
    """Over all files of the package, those of sub-packages included."""
    modules = {".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts): path for path in FILES}
    edges = {name: {module_of(found, modules) for found in imports_of(path)} for name, path in modules.items()}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in finished:
            for other in sorted(edges[name] - {None, name}):
                visit(other, (*trail, name))
            finished.add(name)

    for name in modules:
        # The top of the package fetches names from anywhere, on first use.
        if name.split(".")[1] not in TOP:
            visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_private_names_of_other_modules(path):
    own = path.relative_to(REPOSITORY_ROOT).with_suffix("").parts
    for name in imports_of(path):
        *module, last = name.split(".")
        private = last.startswith("_") and not last.startswith("__")
        assert not private or tuple(module) == own, f"{name_of(path)} imports {name}"


def module_of(name: str, modules: dict[str, Path]) -> str | None:
    """The module of a dotted name that may end in something defined in it; packages count as their `__init__`."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        for candidate in (".".join(parts[:end]), ".".join([*parts[:end], "__init__"])):
            if candidate in modules:
                return candidate
    return None


def test_figures_are_created_in_one_place():
    creating = [path for path in SOURCES if "matplotlib.figure import" in path.read_text(encoding="utf-8")]
    assert [name_of(path) for path in creating] == ["mu2slam_hf/evaluation/figure_files.py"]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    kind = "script" if path.parent == SCRIPTS else "modeling" if path.name.startswith("modeling_") else "library"
    lines = len(text.splitlines())
    assert lines <= MAX_LINES[kind], f"{name_of(path)} has {lines} lines; split it by idea"
    for name, length in function_lengths(ast.parse(text)):
        if (path.name, name) not in LONG_FUNCTIONS:
            assert length <= MAX_FUNCTION_LINES, f"{name_of(path)}: {name} has {length} lines"


def function_lengths(tree: ast.AST, prefix: str = "") -> list[tuple[str, int]]:
    """Lines of every function, without its docstring."""
    found = []
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}.{node.name}".lstrip(".") if hasattr(node, "name") else prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            found.append((name, node.end_lineno - node.lineno + 1 - len((docstring or "").splitlines())))
        if not isinstance(node, ast.expr):
            found += function_lengths(node, name)
    return found


def test_the_list_of_long_functions_is_not_out_of_date():
    lengths = {
        (path.name, name): length
        for path in SOURCES
        for name, length in function_lengths(ast.parse(path.read_text(encoding="utf-8")))
    }
    for key in LONG_FUNCTIONS:
        assert lengths.get(key, 0) > MAX_FUNCTION_LINES, f"{key} is short or gone; remove it from the list"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_has_its_licence_and_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(
        "# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.\n"
    )
    assert ast.get_docstring(ast.parse(text)), f"{name_of(path)} has no docstring"
    assert text.isascii() or "tests" in path.parts or path.parent.name in ("data", "models", "synthetic"), name_of(
        path
    )


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_scripts_hold_no_classes_and_libraries_no_leftovers(path):
    text = path.read_text(encoding="utf-8")
    if path.parent == SCRIPTS:
        assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    for mark in ("TODO", "FIXME", "XXX", "raise NotImplementedError", "breakpoint("):
        assert mark not in text, f"{name_of(path)} holds {mark}"
    assert path.name not in ("utils.py", "common.py")
