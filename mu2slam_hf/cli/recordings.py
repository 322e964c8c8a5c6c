# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading of recordings that are given as files, and the report of those that cannot be used."""

import json
import sys
from collections.abc import Sequence
from typing import Any


def load_recordings(files: Sequence[str]) -> list[Any]:
    """The waveform of each file, `(n,)` float32 at 16 kHz, or the `AudioError` of a file that cannot be read."""
    from mu2slam_hf.data.audio import AudioError, load_audio

    loaded: list[Any] = []
    for file in files:
        try:
            loaded.append(load_audio(file))
        except AudioError as error:
            loaded.append(error)
    return loaded


def print_error(name: str, error: object) -> None:
    """Prints an error about a file to standard error, with its name, which most messages start with."""
    message = str(error)
    print(message if message.startswith(name) else f"{name}: {message}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Prints a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False), flush=True)
