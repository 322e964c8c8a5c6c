# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Versions that are stated in several places agree: bounds, pins, classifiers, workflow, citation."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from helpers import REPOSITORY_ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mu2slam_hf

PROJECT = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    requirement
    for line in [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    if (requirement := Requirement(line)).name != PROJECT["name"]
]
PINS = dict(
    line.split("==")
    for line in (REPOSITORY_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_every_dependency_is_pinned_within_its_bounds(requirement):
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert Version(pins[canonicalize_name(requirement.name)]) in requirement.specifier


def test_the_lowest_versions_are_the_lower_bounds():
    script, project = REPOSITORY_ROOT / ".ci" / "lowest_constraints.py", REPOSITORY_ROOT / "pyproject.toml"
    done = subprocess.run([sys.executable, script, project], capture_output=True, text=True, check=True)
    lowest = dict(line.split("==") for line in done.stdout.splitlines())
    assert lowest.keys() == {requirement.name for requirement in REQUIREMENTS}
    for requirement in REQUIREMENTS:
        assert f">={lowest[requirement.name]}" in str(requirement.specifier).split(",")


def test_a_dependency_without_a_lower_bound_is_refused(tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "a"\ndependencies = ["torch"]\noptional-dependencies = {}\n')
    script = REPOSITORY_ROOT / ".ci" / "lowest_constraints.py"
    done = subprocess.run([sys.executable, script, file], capture_output=True, text=True)
    assert done.returncode != 0 and "'torch' has no lower bound" in done.stderr


def test_the_workflow_checks_the_versions_of_the_classifiers():
    workflow = yaml.safe_load((REPOSITORY_ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    checked = workflow["jobs"]["check"]["strategy"]["matrix"]["python-version"]
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert checked == classified and PROJECT["requires-python"] == f">={classified[0]}"
    for job in workflow["jobs"].values():
        script = job["steps"][-1]["run"].split()[0]
        assert (REPOSITORY_ROOT / script).stat().st_mode & 0o100, f"{script} is not executable"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((REPOSITORY_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == mu2slam_hf.__version__
    assert citation["references"][0]["url"] == PROJECT["urls"]["Paper"]
