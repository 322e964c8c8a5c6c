# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of text files and checks of paths, with clear errors."""

import os
from collections.abc import Collection
from pathlib import Path


def read_text(path: str | Path, what: str = "a text file") -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        what: expected content, for messages.

    Raises:
        ValueError: the file does not exist, or is not valid UTF-8.
    """
    check_input_file(path, what)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, what) from error


def check_input_file(path: str | Path, what: str) -> None:
    """Raises ValueError if the file does not exist; arguments as in `read_text`."""
    # A pipe, such as `<(command)`, is not a regular file, but can be read.
    if not Path(path).exists() or Path(path).is_dir():
        raise ValueError(f"{path}: {'is a folder' if Path(path).is_dir() else 'no such file'}; expected {what}")


def not_utf8(path: str | Path, error: UnicodeDecodeError, what: str) -> ValueError:
    """The error to raise for a file that is not valid UTF-8; arguments as in `read_text`."""
    return ValueError(f"{path}: not valid UTF-8 ({error.reason}); expected {what} in UTF-8")


def check_output_file(path: str | Path, option: str = "--output") -> Path:
    """Check that a file can be created; returns its path.

    Args:
        path: the file.
        option: option of the path, for messages.

    Raises:
        ValueError: the parent folder does not exist, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{option} {path}: is a folder; expected a file")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    return path


def check_output_folder(name: str | Path, option: str = "--output-dir", formats: Collection[str] = ()) -> Path:
    """Check that the folder of an option can be written; returns its path.

    It is created with the first file in it, so that a command that fails before leaves no empty folder.

    Args:
        name: the folder.
        option: the option, for messages.
        formats: formats that the command also prints; a folder named like a file of one is a mistake.

    Raises:
        ValueError: it is a file, looks like the name of a file, or cannot be written.
    """
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{option} {name}: is a file; expected a folder")
    form = folder.suffix.lower().removeprefix(".")
    if not folder.exists() and form in formats:
        raise ValueError(f"{option} {name}: expected a folder; for a single file use --output-format {form} > {name}")
    existing = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise ValueError(f"{option} {name}: the folder cannot be created ({existing} is not a folder)")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {name}: the folder {existing} is not writable")
    return folder
