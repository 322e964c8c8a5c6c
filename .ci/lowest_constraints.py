# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Prints the lowest version of every direct dependency that pyproject.toml allows, as a constraints file for pip."""

import re
import sys
import tomllib
from pathlib import Path


def read_lowest_versions(pyproject: str) -> list[str]:
    """Returns `name==version` for each requirement with a lower bound, of the package and of its extras.

    Raises:
        SystemExit: a requirement has no lower bound, or two requirements of one package have different ones.
    """
    project = tomllib.loads(pyproject)["project"]
    requirements = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    lowest: dict[str, str] = {}
    for requirement in requirements:
        name, extras, version = re.fullmatch(
            r"([\w.-]+)(\[[^]]*\])?(?:>=([\w.]+)(?:,[^;]*)?)?(?:;.*)?", requirement.replace(" ", "")
        ).groups()
        if name == project["name"]:
            continue  # an extra of the package itself
        if version is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound")
        if lowest.setdefault(name, version) != version:
            raise SystemExit(f"pyproject.toml: {name} has the lower bounds {lowest[name]} and {version}")
    return [f"{name}=={version}" for name, version in sorted(lowest.items())]


if __name__ == "__main__":
    print("\n".join(read_lowest_versions(Path(sys.argv[1]).read_text(encoding="utf-8"))))
