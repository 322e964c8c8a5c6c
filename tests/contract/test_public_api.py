# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What `import mu2slam_hf` promises: every public name is there, documented, and told to type checkers too."""

import ast
import importlib
from importlib import metadata, resources
from pathlib import Path

import pytest

import mu2slam_hf

NAMES = sorted(set(mu2slam_hf.__all__) - {"__version__"})


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(mu2slam_hf, name)
    assert value.__doc__
    assert value.__module__ == mu2slam_hf._PUBLIC_NAMES[name]


def test_dir_lists_the_public_names_and_star_import_brings_them():
    assert dir(mu2slam_hf) == sorted(mu2slam_hf.__all__)
    namespace: dict[str, object] = {}
    exec("from mu2slam_hf import *", namespace)
    assert set(NAMES) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Mu3SLAM'"):
        mu2slam_hf.Mu3SLAM  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("mu2slam_hf.no_such_module")


def test_type_checkers_see_the_same_names():
    """In a stub, only names that are imported `as` themselves are public."""
    tree = ast.parse(Path(mu2slam_hf.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    aliases = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert all(alias.asname == alias.name for alias in aliases)
    assert [*(alias.name for alias in aliases), "__version__"] == mu2slam_hf.__all__
    assert len(NAMES) == len(aliases) > 30


def test_package_is_marked_as_typed():
    assert resources.files("mu2slam_hf").joinpath("py.typed").is_file()


def test_metadata_names_both_licences_and_ships_their_texts():
    distribution = metadata.distribution("mu2slam-hf")
    assert distribution.version == mu2slam_hf.__version__
    assert distribution.metadata["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0"
    files = distribution.metadata.get_all("License-File")
    assert set(files) == {"LICENSE", "mu2slam_hf/checkpoints/default/LICENSE"}
    texts = {name: distribution.read_text(f"licenses/{name}") for name in files}
    assert "Apache License" in texts["LICENSE"]
    assert "Allison Smith" in texts["mu2slam_hf/checkpoints/default/LICENSE"]


def test_extras_hold_what_they_promise():
    requirements = metadata.requires("mu2slam-hf") or []
    for extra, packages in {
        "lab": ["babel", "espeakng-loader", "num2words", "scipy"],
        "train": ["tensorboard"],
        "test": ["pytest", "pytest-xdist"],
    }.items():
        listed = " ".join(line for line in requirements if f"extra == '{extra}'" in line.replace('"', "'"))
        assert all(package in listed for package in packages), f"{extra}: {listed}"
