# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of folders with recordings."""

import os
from collections.abc import Iterator
from pathlib import Path

RECORDING_SUFFIXES = frozenset(
    """
    .3gp .aac .aif .aiff .amr .au .avi .caf .flac .flv .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mpga
    .oga .ogg .ogv .opus .ts .w64 .wav .webm .wma .wmv
    """.split()
)
"""Extensions of the audio and video files that are looked for in folders."""


def is_address(name: str) -> bool:
    """Whether a name is an http or https address."""
    return name.lower().startswith(("http://", "https://"))


def walk_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The files of a folder and its sub-folders, each by name; names that start with a dot are skipped."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))
