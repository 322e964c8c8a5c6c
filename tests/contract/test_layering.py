# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Who may import whom, and how large files and functions may be. Each test lists all offenders of its rule."""

import ast

from helpers import REPOSITORY_ROOT
from package_sources import (
    FILES,
    LAB_FILES,
    PACKAGE,
    SCRIPTS,
    SOURCES,
    import_graph,
    imports_of,
    name_of,
    text_of,
    tree_of,
)

# Low to high; a package imports from lower ones only. Those on one level do not know one another.
LAYERS = {
    "models": 0,
    "checkpoints": 1,
    "interop": 1,
    "data": 1,
    "growth": 2,
    "inference": 2,
    "quantization": 2,
    "training": 3,
    "evaluation": 3,
    "search": 3,
    "export": 3,
    "serving": 3,
    "recipes": 4,
    "hub": 5,
    "adaptation": 6,
    "cli": 7,
    "__main__": 8,
}
# Inside a package: its sub-packages; the empty name stands for the files of the package itself.
SUB_PACKAGES = {
    "adaptation": {"": 0, "reading": 1, "report": 2, "training": 3},
    "data": {"": 0, "corpora": 1, "examples": 1, "sampling": 2, "collation": 2},
    "evaluation": {"scores": 0, "records": 1, "metric_modules": 1, "tasks": 2, "": 3},
    "recipes": {"schema": 0, "data": 1, "runs": 2, "": 3},
}
# The top of the package fetches names from anywhere, by name and on first use.
TOP = {"__init__", "atomic_files", "locks", "registration"}
SHARED_FILES = ("atomic_files", "locks")

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
}

MAX_LINES = {"modeling": 800, "library": 400, "script": 80}
MAX_FUNCTION_LINES = 60
# Longer functions, without their docstrings, each with its reason.
LONG_FUNCTIONS = {
    ("modeling_mu2slam.py", "Mu2SLAMModel.forward"): "hands some twenty named inputs of two stacks from the caller on",
    ("modeling_mu2slam.py", "Mu2SLAMForConditionalGeneration.forward"): "the same, and names a dozen outputs",
    ("modeling_mu2slam_pretraining.py", "Mu2SLAMForPreTraining.forward"): "names two dozen tensors of a packed batch",
}


def room_of(name: str) -> str:
    """The package of a dotted name: `data` of `mu2slam_hf.data.records`."""
    return (name.split(".") + ["__init__"])[1]


def test_layers_of_the_package():
    offenders = []
    for path in FILES:
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room in TOP:
            continue
        for name in imports_of(path):
            other = room_of(name)
            if other in (room, *SHARED_FILES):
                continue
            # The version and the public names of the top may be read by the outer layers.
            allowed = LAYERS[other] < LAYERS[room] if other in LAYERS else LAYERS[room] >= 2
            if not allowed or (other in SHARED_FILES and room == "models"):
                offenders.append(f"{name_of(path)} imports {name}")
    assert not offenders


def test_the_package_does_not_know_the_laboratory():
    """Not even for type checkers: the wheel does not have it."""
    paths = [*FILES, *sorted(SCRIPTS.glob("*.py"))]
    assert LAB_FILES and not [
        f"{name_of(path)} imports {name}"
        for path in paths
        for name in imports_of(path, skip_type_checking=False)
        if name.split(".")[0] == "lab"
    ]


def test_data_does_not_know_the_models():
    paths = sorted((PACKAGE / "data").rglob("*.py"))
    assert not [
        f"{name_of(path)} imports {name}" for path in paths for name in imports_of(path) if ".modeling_" in name
    ]


def test_layers_inside_models():
    offenders = []
    for path in sorted((PACKAGE / "models").glob("*.py")):
        if path.stem == "__init__":
            assert imports_of(path) == []
            continue
        own = MODEL_LAYERS[path.stem.split("_")[0]]
        for name in imports_of(path, skip_type_checking=False):
            other = name.split(".")[2]
            upwards = MODEL_LAYERS[other.split("_")[0]] > own
            if upwards or (path.stem.startswith("configuration_") and not other.startswith("configuration_")):
                offenders.append(f"{path.name} imports {other}")
    assert not offenders


def test_sub_packages_are_in_layers():
    offenders = []
    for room, layers in SUB_PACKAGES.items():
        for path in sorted((PACKAGE / room).rglob("*.py")):
            own = sub_package_of(".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts))
            for name in imports_of(path):
                if name.startswith(f"mu2slam_hf.{room}."):
                    other = sub_package_of(name)
                    if other != own and layers[other] >= layers[own]:
                        offenders.append(f"{name_of(path)} imports {name}")
    assert not offenders


def sub_package_of(module: str) -> str:
    """`examples` of `mu2slam_hf.data.examples.draws...`; the empty name for the files of `data` itself."""
    _, room, part = module.split(".")[:3]
    return part if (PACKAGE / room / part).is_dir() else ""


def test_no_import_cycles():
    """Over all files of the package and the laboratory, those of sub-packages included."""
    edges = import_graph()
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in finished:
            for other in sorted(edges[name]):
                visit(other, (*trail, name))
            finished.add(name)

    for name in edges:
        # The top of the package fetches names from anywhere, on first use.
        if not name.startswith("mu2slam_hf.") or name.split(".")[1] not in TOP:
            visit(name, ())


def test_no_private_names_of_other_modules():
    offenders = []
    for path in [*FILES, *LAB_FILES]:
        own = path.relative_to(REPOSITORY_ROOT).with_suffix("").parts
        for name in imports_of(path):
            *module, last = name.split(".")
            if last.startswith("_") and not last.startswith("__") and tuple(module) != own:
                offenders.append(f"{name_of(path)} imports {name}")
    assert not offenders


def test_figures_are_created_in_one_place():
    creating = [path for path in SOURCES if "matplotlib.figure import" in text_of(path)]
    assert [name_of(path) for path in creating] == ["mu2slam_hf/data/figure_files.py"]


def test_files_and_functions_are_short():
    offenders = []
    for path in SOURCES:
        kind = "script" if path.parent == SCRIPTS else "modeling" if path.name.startswith("modeling_") else "library"
        lines = len(text_of(path).splitlines())
        if lines > MAX_LINES[kind]:
            offenders.append(f"{name_of(path)} has {lines} lines; split it by idea")
        for name, length in function_lengths(tree_of(path)):
            if (path.name, name) not in LONG_FUNCTIONS and length > MAX_FUNCTION_LINES:
                offenders.append(f"{name_of(path)}: {name} has {length} lines")
    assert not offenders


def function_lengths(tree: ast.AST, prefix: str = "") -> list[tuple[str, int]]:
    """Lines of every function, without its docstring."""
    lengths = []
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}.{node.name}".lstrip(".") if hasattr(node, "name") else prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            lengths.append((name, node.end_lineno - node.lineno + 1 - len((docstring or "").splitlines())))
        if not isinstance(node, ast.expr):
            lengths += function_lengths(node, name)
    return lengths


def test_the_list_of_long_functions_is_not_out_of_date():
    lengths = {(path.name, name): length for path in SOURCES for name, length in function_lengths(tree_of(path))}
    for key in LONG_FUNCTIONS:
        assert lengths.get(key, 0) > MAX_FUNCTION_LINES, f"{key} is short or gone; remove it from the list"


def test_every_file_has_its_licence_and_says_what_it_is():
    licence = "# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.\n"
    offenders = [f"{name_of(path)}: no licence" for path in SOURCES if not text_of(path).startswith(licence)]
    offenders += [f"{name_of(path)}: no docstring" for path in SOURCES if not ast.get_docstring(tree_of(path))]
    offenders += [
        f"{name_of(path)}: characters outside ASCII"
        for path in SOURCES
        if not text_of(path).isascii() and path.parent.name not in ("data", "models", "synthesis")
    ]
    assert not offenders


def test_scripts_hold_no_classes_and_libraries_no_leftovers():
    offenders = []
    for path in SOURCES:
        if path.parent == SCRIPTS and any(isinstance(node, ast.ClassDef) for node in ast.walk(tree_of(path))):
            offenders.append(f"{name_of(path)} defines a class")
        for mark in ("TODO", "FIXME", "XXX", "raise NotImplementedError", "breakpoint("):
            if mark in text_of(path):
                offenders.append(f"{name_of(path)} holds {mark}")
        if path.name in ("utils.py", "common.py"):
            offenders.append(f"{name_of(path)}: name the idea it holds")
    assert not offenders
