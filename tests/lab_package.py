# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Makes `lab`, which is not installed, importable."""

import importlib.util
import sys

from helpers import REPOSITORY_ROOT


def load_lab() -> None:
    """Loads the package from the clone.

    The folder above it is not put on `sys.path`: `mu2slam_hf` would then be that of the clone, not the installed one.
    """
    if "lab" not in sys.modules:
        folder = str(REPOSITORY_ROOT / "lab")
        file = f"{folder}/__init__.py"
        spec = importlib.util.spec_from_file_location("lab", file, submodule_search_locations=[folder])
        sys.modules["lab"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["lab"])
