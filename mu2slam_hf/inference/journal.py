# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The journal of an output folder: finished transcripts by the content of their recordings, and the files written.

An interrupted run that is started again finds what is finished. A recording is known by its content, not by its name:
a changed file is transcribed again, a renamed one is not.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.folders import find_base_model
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.recordings import Recording, is_address
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment

JOURNAL_NAME = ".mu2slam-transcribe.jsonl"


class TranscriptJournal:
    """Finished transcripts of an output folder.

    Each line is a JSON object: a transcript with its key, or a written file with the key of its content. A line is
    appended at once and synchronised; an incomplete last line, left by a crash, is ignored. Transcripts are not kept
    in memory.

    Args:
        folder: the output folder.
        forget: start anew.
    """

    def __init__(self, folder: Path, *, forget: bool = False) -> None:
        self.path = folder / JOURNAL_NAME
        self._places: dict[str, int] = {}
        self._written: dict[str, str] = {}
        if forget:
            self.path.unlink(missing_ok=True)
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        index = 0
        with self.path.open("rb") as lines:
            for line in lines:
                entry = _parse(line)
                if "transcript" in entry:
                    self._places[entry["key"]] = index
                elif "file" in entry:
                    self._written[entry["file"]] = entry["key"]
                index += len(line)

    def find(self, key: str) -> Transcript | None:
        """The transcript of a key, or None."""
        if key not in self._places:
            return None
        with self.path.open("rb") as lines:
            lines.seek(self._places[key])
            content = _parse(lines.readline())
        try:
            return _build_transcript(content["transcript"])
        except (KeyError, TypeError):  # written by a version with other fields
            del self._places[key]
            return None

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, key: str, transcript: Transcript) -> None:
        """Record a finished transcript."""
        self._places[key] = self._append({"key": key, "transcript": asdict(transcript)})

    def is_written(self, file: Path, key: str) -> bool:
        """Whether a file with the content of this key was written, and is still there."""
        return self._written.get(self._name(file)) == key and file.exists()

    def is_known(self, file: Path) -> bool:
        """Whether a file was written by a run with this journal."""
        return self._name(file) in self._written

    def add_file(self, file: Path, key: str) -> None:
        """Record a written file."""
        self._written[self._name(file)] = key
        self._append({"file": self._name(file), "key": key})

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path.parent).as_posix()

    def _append(self, entry: Mapping[str, Any]) -> int:
        """Append a line; returns its position."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            index = file.seek(0, os.SEEK_END)
            if index:
                file.seek(index - 1)
                # The rest of an incomplete line must not join this one.
                start = b"" if file.read(1) == b"\n" else b"\n"
            else:
                start = b""
            try:
                file.write(start + json.dumps(entry, ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:  # of a full disk; it does not name the file
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        return index + len(start)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and "key" in entry else {}


def _build_transcript(content: dict[str, Any]) -> Transcript:
    segments = tuple(
        TranscriptSegment(**{**segment, "words": tuple(AlignedWord(**word) for word in segment["words"])})
        for segment in content["segments"]
    )
    return Transcript(**{**content, "segments": segments})


def compute_key(recording: Recording, settings: Mapping[str, Any]) -> str:
    """Key of a transcript: content of the recording, options and model.

    Args:
        recording: a file or bytes; an address is known by its name.
        settings: everything else that the transcript depends on; JSON types.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    if isinstance(recording.source, bytes):
        digest.update(recording.source)
    elif is_address(recording.source):
        digest.update(f"address {recording.source}".encode())
    else:
        with open(recording.source, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def identify_weights(name_or_path: str) -> dict[str, Any]:
    """What identifies the weights and settings of a model without reading all weights.

    Of a folder: hashes of small files (configurations, tokenizer), size and time of change of the weights. Of a model
    on the Hub: its name, and the commit in the cache.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(name_or_path, "config.json")
        return {"name": name_or_path, "commit": Path(cached).parent.name if isinstance(cached, str) else None}
    base = find_base_model(folder)
    identity: dict[str, Any] = {} if base is None else {"model of the adapters": identify_weights(base)}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".safetensors", ".bin"):
            status = path.stat()
            identity[name] = [status.st_size, status.st_mtime_ns]
        elif path.suffix in (".json", ".model", ".txt", ".jinja"):
            identity[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return identity
