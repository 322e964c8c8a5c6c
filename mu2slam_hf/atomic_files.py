# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files and folders that are written under a temporary name and renamed when they are complete."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a folder; it is renamed to `path` when the block ends.

    If the block raises, the temporary path is removed and an existing `path` is left unchanged. Each process has
    its own temporary path. The content of a file is on the disk before it is renamed, so that a power cut leaves no
    empty file.

    Args:
        path: final path. An existing file is replaced; an existing folder must be empty. Parents are created.

    Raises:
        OSError: the path cannot be written, or is a folder that is not empty; it names the path, also where the error
            of a write does not (a full disk).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path.name))
    _remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if temporary.is_dir() and path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise
    finally:
        _remove(temporary)


def _temporary_name(name: str) -> str:
    temporary = f".{name}.{os.getpid()}.partial"
    # File systems allow 255 bytes; a name that is allowed must not become too long by the addition.
    if len(os.fsencode(temporary)) <= 255:
        return temporary
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}.{os.getpid()}.partial"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file as `atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_free_folder(path: str | os.PathLike[str]) -> Path:
    """Check that a folder can be created; returns its path.

    Raises:
        ValueError: the path exists and is not an empty folder.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not an empty folder; choose another name or remove it")
    return folder
