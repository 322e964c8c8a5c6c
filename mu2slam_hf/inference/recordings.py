# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings to read by name, and messages about them."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.data.recording_files import is_address as is_address


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording given to a command.

    Attributes:
        name: path or address, for messages and results; `-` for standard input.
        source: path, address, or the bytes read from standard input or a pipe.
        stem: name of its output files without extension, relative to their folder; keeps sub-folders.
    """

    name: str
    source: Any
    stem: str


def printable(text: str) -> str:
    """A name or message for a terminal: control characters and bytes that are not UTF-8 are escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def error_message(error: object) -> str:
    """The message of an error; `FILE: No space left on device` for one of the operating system."""
    if isinstance(error, OSError) and error.strerror and isinstance(error.filename, str) and not error.filename2:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def print_error(name: str, error: object) -> None:
    """Prints an error about a file to standard error, with its name, which most messages start with."""
    message = error_message(error)
    line = message if message.startswith(name) else f"{name}: {message}"
    print("\n".join(map(printable, line.split("\n") if "\n" not in name else [line])), file=sys.stderr, flush=True)


def to_utf8(text: str) -> str:
    """A text that can be written as UTF-8: what cannot, of file names for example, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON."""
    print(to_utf8(json.dumps(value, ensure_ascii=False)), flush=True)
