# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a command has written into a folder, for comparisons with what it writes undisturbed."""

import hashlib
from pathlib import Path

# Files that have neither the time of day nor durations in them.
_COMPARED = {".safetensors", ".txt", ".srt", ".vtt", ".tsv", ".TextGrid", ".wav", ".parquet"}


def hash_results(folder: Path) -> dict[str, str]:
    """Hashes of the complete results by name.

    Temporary ones have names that begin with a point; `adaptation` holds what `adapt` needs while it works.
    """
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if (path.suffix in _COMPARED or path.name == "tokenizer.json")
        and not any(part.startswith(".") or part == "adaptation" for part in name.parts)
    }
