# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Locks between processes on files and folders.

The operating system releases them when their process ends, however it ends, so that no lock is left behind. Where it
has no `fcntl` (Windows), nothing is locked.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

LOCK_NAME = ".mu2slam-lock"


@contextmanager
def locked_file(file: IO[Any], *, wait: bool = True) -> Iterator[None]:
    """Makes this process the only one that has an open file locked.

    Args:
        file: an open file.
        wait: wait for the end of another lock.

    Raises:
        BlockingIOError: another process has the file locked, and `wait` is false.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    try:
        yield
    finally:
        with suppress(ValueError):  # closed: released
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked_folder(folder: str | os.PathLike[str]) -> Iterator[int]:
    """Makes this process the only one that writes a folder, which is created; yields the descriptor of the lock.

    A process that inherits the descriptor holds the lock too.

    Raises:
        ValueError: another process has locked it; names the process, its machine and the time.
    """
    path = Path(folder) / LOCK_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file, ExitStack() as stack:
        try:
            stack.enter_context(locked_file(file, wait=False))
        except BlockingIOError:
            file.seek(0)
            user = file.read() or "which has just started"
            raise ValueError(
                f"{folder} is in use by another command ({user}); wait for its end, or choose another folder"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield file.fileno()
