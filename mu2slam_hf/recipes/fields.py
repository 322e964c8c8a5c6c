# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Kinds of fields that recipes have beside plain values."""

from dataclasses import field
from typing import Any


def path_field(kind: str, default: Any = None) -> Any:
    """A field whose value is resolved to an existing path; `kind` is file, folder, files or any.

    `files` is a file, a folder, or a glob pattern that matches something.
    """
    return field(default=default, metadata={"path": kind})


def dotted_field() -> Any:
    """A mapping from dotted names to values; `--set` takes all that follows its name as one dotted name.

    The loader knows such fields by their names, `overrides` and `set`: it applies `--set` before it knows the types.
    """
    return field(default_factory=dict)
