# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings given to a command: files, folders, lists, addresses, standard input; and the report of unusable ones."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mu2slam_hf.cli.errors import UsageError
from mu2slam_hf.cli.files import read_text
from mu2slam_hf.data.recording_files import RECORDING_SUFFIXES, is_address, walk_files
from mu2slam_hf.inference.recordings import Recording, print_error, print_json

_TEXT_SUFFIXES = frozenset(".txt .md .tsv .csv .json .jsonl .srt .vtt .textgrid .html .pdf .docx .yaml".split())
STANDARD_INPUT = "-"


def list_recordings(names: Sequence[str], file_list: str | None = None) -> list[Recording]:
    """All recordings of the arguments of a command, in their order; those of folders by name.

    Args:
        names: files, folders (searched with their sub-folders), http(s) addresses, `-` for standard input.
        file_list: file with one more of these per line; empty lines and lines that start with # are skipped.

    Raises:
        ValueError: a folder without recordings, a list that cannot be read, or nothing to process. Files that do not
            exist are reported by `find_unusable`.
    """
    given = list(names)
    if file_list is not None:
        lines = (line.strip() for line in read_text(file_list, "a list of recordings, one per line").splitlines())
        given += [line for line in lines if line and not line.startswith("#")]
    if not given:
        if file_list is not None:
            raise ValueError(f"{file_list}: the list is empty")
        raise UsageError("no recordings are given; expected FILE ..., folders, addresses, - or --file-list")
    results: list[Recording] = []
    for name in given:
        if name == STANDARD_INPUT:
            results.append(Recording(name=name, source=_read_standard_input(), stem="stdin"))
        elif is_address(name):
            results.append(Recording(name=name, source=name, stem=_address_stem(name)))
        elif Path(name).is_dir():
            results += _walk(name)
        elif Path(name).is_fifo():  # such as `<(command)`: can be read once only
            results.append(Recording(name=name, source=Path(name).read_bytes(), stem=Path(name).stem))
        else:
            results.append(Recording(name=name, source=name, stem=Path(name).stem))
    return results


def find_unusable(recordings: Sequence[Recording]) -> dict[str, str]:
    """Messages for files that are missing or whose extension is that of texts, by name; the others are not opened."""
    messages = {}
    for recording in recordings:
        if not isinstance(recording.source, str) or is_address(recording.source):
            continue
        path = Path(recording.source)
        if not path.exists():
            messages[recording.name] = f"{path}: no such file"
        elif path.suffix.lower() in _TEXT_SUFFIXES:
            messages[recording.name] = (
                f"{path}: is a text file; expected a recording (--file-list reads a list of recordings from a file)"
            )
        elif not path.is_file():
            messages[recording.name] = f"{path}: is a device or pipe, not a file (- reads standard input)"
        elif not os.access(path, os.R_OK):
            messages[recording.name] = f"{path}: permission denied"
    return messages


def report_all_unusable(recordings: Sequence[Recording], *, as_json: bool = False) -> bool:
    """If not even one recording may be usable, report them all, and return True: no model needs to be loaded."""
    unusable = find_unusable(recordings)
    if not all(recording.name in unusable for recording in recordings):
        return False
    for recording in recordings:
        if as_json:
            print_json({"file": recording.name, "error": unusable[recording.name]})
        else:
            print_error(recording.name, unusable[recording.name])
    return True


def _walk(folder: str) -> list[Recording]:
    """Recordings of a folder and its sub-folders; names that start with a dot are skipped."""
    results = []
    for path in walk_files(folder):
        if path.suffix.lower() in RECORDING_SUFFIXES:
            stem = path.relative_to(folder).with_suffix("").as_posix()
            results.append(Recording(name=str(path), source=str(path), stem=stem))
    if not results:
        raise ValueError(f"{folder}: no recordings in this folder; looked for {' '.join(sorted(RECORDING_SUFFIXES))}")
    return sorted(results, key=lambda recording: recording.name)


def _address_stem(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # the download reports it
        return "recording"
    name = PurePosixPath(unquote(parts.path)).stem or parts.hostname or "recording"
    return name.replace("/", "_").replace("\\", "_").lstrip(".") or "recording"


def _read_standard_input() -> bytes:
    data: bytes = sys.stdin.buffer.read()
    return data
