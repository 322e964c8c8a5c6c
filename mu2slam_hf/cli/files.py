# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text files that a person names, read and written with messages that name them."""

from pathlib import Path


def read_text(path: str | Path, what: str = "a text file") -> str:
    """The content of a file in UTF-8, with or without a mark of that at its beginning.

    Args:
        path: the file.
        what: what was expected there, for messages.

    Raises:
        ValueError: there is no such file, or it is no text in UTF-8.
    """
    check_input_file(path, what)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, what) from error


def check_input_file(path: str | Path, what: str) -> None:
    """Raises ValueError where there is no such file; the arguments are those of `read_text`."""
    # A pipe, as of `<(command)`, is no regular file and as good as one.
    if not Path(path).exists() or Path(path).is_dir():
        raise ValueError(f"{path}: {'is a folder' if Path(path).is_dir() else 'no such file'}; expected {what}")


def not_utf8(path: str | Path, error: UnicodeDecodeError, what: str) -> ValueError:
    """The error to raise for a file of other bytes; the arguments are those of `read_text`."""
    return ValueError(f"{path}: is no text in UTF-8 ({error.reason}); expected {what} in UTF-8")


def check_output_file(path: str | Path, option: str = "--output") -> Path:
    """The path of a file to write, if it can be made there.

    Args:
        path: the file.
        option: that names it, for messages.

    Raises:
        ValueError: its folder is not there, or it is a folder itself.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{option} {path}: is a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"{option} {path}: there is no folder {path.parent}; make it first")
    return path
