# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files and folders that are written under a temporary name and renamed when they are complete."""

import errno
import hashlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Folders may be shared by machines, whose processes have numbers of their own.
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_ABANDONED = re.compile(rf"^\..*\.{_MACHINE}-(\d+)\.partial$", re.DOTALL)
_searched: set[Path] = set()
_WRITE_ERROR = re.compile(r"No space left on device|I/O error|iostream error|PytorchStreamWriter|inline_container")
_LITTLE_SPACE = 2**26


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a folder; it is renamed to `path` when the block ends.

    If the block raises, the temporary path is removed and an existing `path` is left unchanged. Each process has
    its own temporary path; those that killed processes of this machine have left in the folder are removed by the
    first call of a process for it. The content of a file is on the disk before it is renamed, so that a power cut
    leaves no empty file.

    Args:
        path: final path. An existing file is replaced; an existing folder must be empty. Parents are created.

    Raises:
        OSError: the path cannot be written, or is a folder that is not empty; it names the path, also where the error
            of a write does not (a full disk).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
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
    except Exception as error:
        write_error = as_write_error(error, path)
        if write_error is None or write_error is error:
            raise
        raise write_error from error
    finally:
        _remove(temporary)


def as_write_error(error: Exception, path: str | os.PathLike[str]) -> OSError | None:
    """An error of a library that could not write a file, as an error of the operating system that names the file.

    Libraries report a full disk differently: safetensors by an error class of its own, torch by a RuntimeError of a
    C++ stream, others by the error of the system without the name.

    Args:
        error: what was raised.
        path: the file or folder that was written.

    Returns:
        An error to raise in its place, `error` itself if it is one of the system; None for an error of another kind.
    """
    path = os.fspath(path)
    if isinstance(error, OSError):
        if error.errno is not None and error.filename is None:
            error.filename = path
        return error
    if not _WRITE_ERROR.search(str(error)):
        return None
    free = shutil.disk_usage(os.path.dirname(path) or ".").free
    code = errno.ENOSPC if "No space left" in str(error) or free < _LITTLE_SPACE else errno.EIO
    return OSError(code, os.strerror(code), path)


def _temporary_name(name: str) -> str:
    ending = f".{_MACHINE}-{os.getpid()}.partial"
    # File systems allow 255 bytes; a name that is allowed must not become too long by the addition.
    if len(os.fsencode(name)) + len(ending) < 255:
        return f".{name}{ending}"
    return f".{hashlib.sha256(os.fsencode(name)).hexdigest()}{ending}"


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary paths of processes of this machine that do not exist any more, once in a process."""
    place = folder.absolute()
    if place in _searched:
        return
    _searched.add(place)
    with os.scandir(folder) as entries:
        candidates = [entry for entry in entries if entry.name.endswith(".partial")]
    for entry in candidates:
        match = _ABANDONED.search(entry.name)
        if match is not None and not _is_running(int(match[1])):
            _remove(Path(entry.path))


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the call below is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


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
