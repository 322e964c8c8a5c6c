# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files and folders that appear under their names when they are complete, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a folder; it is renamed to `path` when the block ends.

    Where the block raises, what was written is removed and an existing `path` stays as it is. Each process has a
    temporary path of its own.

    Args:
        path: an existing file is replaced; an existing folder must be empty. Its parents are created.

    Raises:
        OSError: it cannot be written, or `path` is a folder that is not empty.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
