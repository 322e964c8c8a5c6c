# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mu2SLAM on Hugging Face transformers: speech and text in many languages, one encoder-decoder.

After `import mu2slam_hf`, `pipeline("automatic-speech-recognition", model=...)` and the Auto classes can load our
checkpoints. The import loads neither torch nor transformers: the public names, listed in `__init__.pyi`, are imported
on first use.
"""

import ast
import importlib
import pkgutil
from typing import Any

from mu2slam_hf.registration import register_when_needed

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC_NAMES = {
    alias.name: statement.module
    for statement in ast.parse(pkgutil.get_data(__name__, "__init__.pyi") or b"").body
    if isinstance(statement, ast.ImportFrom) and statement.module
    for alias in statement.names
}

__all__ = [*_PUBLIC_NAMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Imports a public name from its module on first use."""
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module 'mu2slam_hf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, including those not yet imported: for `dir` and completion (PEP 562)."""
    return sorted(__all__)


register_when_needed()
