# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The journal of an output folder: finished transcripts and windows by the content of their recordings, written files.

An interrupted run that is started again finds what is finished, also inside a long recording. A recording is known by
its content, not by its name: a changed file is transcribed again, a renamed one is not.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.folders import find_base_model
from mu2slam_hf.inference.alignment import AlignedWord
from mu2slam_hf.inference.recordings import Recording, is_address
from mu2slam_hf.inference.transcripts import Transcript, TranscriptSegment
from mu2slam_hf.inference.windows import RecognizedWindow, Window
from mu2slam_hf.locks import locked_file

JOURNAL_NAME = ".mu2slam-transcribe.jsonl"


class TranscriptJournal:
    """Finished transcripts of an output folder.

    Each line is a JSON object: a transcript or some windows with their key, or a written file with the key and the
    hash of its content. A line is appended at once and synchronised, by one process at a time; an incomplete last
    line, left by a crash, is ignored. Transcripts are not kept in memory.

    Args:
        folder: the output folder.
        forget: start anew.

    Raises:
        ValueError: the journal is not a file, but a symbolic link for example, which may lead to a file of others.
    """

    def __init__(self, folder: Path, *, forget: bool = False) -> None:
        self.path = folder / JOURNAL_NAME
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            raise ValueError(f"{self.path}: expected the journal of earlier runs, got what is not a file; remove it")
        self._places: dict[str, int] = {}
        self._window_places: dict[str, list[int]] = {}
        self._written: dict[str, tuple[str, str | None]] = {}
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
                elif "windows" in entry:
                    self._window_places.setdefault(entry["key"], []).append(index)
                elif "file" in entry:
                    self._written[entry["file"]] = (entry["key"], entry.get("sha256"))
                index += len(line)

    def find(self, key: str) -> Transcript | None:
        """The transcript of a key, or None."""
        if key not in self._places:
            return None
        (entry,) = self._entries([self._places[key]])
        try:
            if entry["key"] != key:  # another process has replaced the journal
                raise KeyError(key)
            return _build_transcript(entry["transcript"])
        except (KeyError, TypeError):  # also: written by a version with other fields
            del self._places[key]
            return None

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, key: str, transcript: Transcript) -> None:
        """Record a finished transcript."""
        self._places[key] = self._append({"key": key, "transcript": asdict(transcript)})

    def windows_of(self, key: str) -> "WindowJournal":
        """The finished windows of the recording of a key, and where further ones are recorded."""
        entries = self._entries(self._window_places.get(key, []))
        known = [values for entry in entries if entry.get("key") == key for values in entry.get("windows", [])]
        return WindowJournal(known, lambda windows: self._append({"key": key, "windows": windows}))

    def _entries(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The lines at these places."""
        if not places:
            return []
        entries = []
        with self.path.open("rb") as lines:
            for place in places:
                lines.seek(place)
                entries.append(_parse(lines.readline()))
        return entries

    def is_written(self, file: Path, key: str) -> bool:
        """Whether a file with the content of this key was written, and is still there, as it was or edited."""
        written_key, digest = self._written.get(self._name(file), ("", None))
        return written_key == key and file.exists() and not _is_emptied(file, digest)

    def is_known(self, file: Path) -> bool:
        """Whether a file was written by a run with this journal."""
        return self._name(file) in self._written

    def is_edited(self, file: Path) -> bool:
        """Whether the content of a file is not what a run with this journal has written, or no run has written it."""
        if not file.is_file():
            return False
        _, digest = self._written.get(self._name(file), ("", ""))
        # The journals of former versions have no hashes.
        return digest is not None and digest != _hash_file(file) and not _is_emptied(file, digest)

    def add_file(self, file: Path, key: str) -> None:
        """Record a written file."""
        digest = _hash_file(file)
        self._written[self._name(file)] = (key, digest)
        self._append({"file": self._name(file), "key": key, "sha256": digest})

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path.parent).as_posix()

    def _append(self, entry: Mapping[str, Any]) -> int:
        """Append a line; returns its position."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file, locked_file(file):
            index = file.seek(0, os.SEEK_END)
            if index:
                file.seek(index - 1)
                # The rest of an incomplete line must not join this one.
                start = b"" if file.read(1) == b"\n" else b"\n"
            else:
                start = b""
            try:
                file.write(start + json.dumps(entry, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:  # of a full disk; it does not name the file
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        return index + len(start)


# Language, its probability, and the language to write.
WindowLanguage = tuple[str, float | None, str | None]


@dataclass(frozen=True)
class FinishedWindow:
    """A window that is not recognised again.

    Attributes:
        result: what was recognised.
        language: language, its probability, and the language to write; None if the encoder found no speech.
    """

    result: RecognizedWindow
    language: WindowLanguage | None = None


# What is not needed once a window is finished.
_NOT_KEPT = ("window", "log_probs", "states", "assistant_states", "token_ids", "features")


class WindowJournal:
    """Finished windows of a recording.

    Args:
        known: windows of an earlier run, as `add` has written them.
        write: records further ones.
    """

    def __init__(self, known: Iterable[dict[str, Any]], write: Callable[[list[dict[str, Any]]], Any]) -> None:
        self._known = {tuple(values["place"]): values for values in known}
        self._write = write

    def find(self, window: Window) -> FinishedWindow | None:
        """The finished window at the place of a window, or None."""
        values = self._known.get(_place_of(window))
        if values is None:
            return None
        language = values["language"]
        result = dict(values["result"])
        result["words"] = tuple(AlignedWord(**word) for word in result["words"])
        window = replace(window, waveform=window.waveform[:0])
        return FinishedWindow(RecognizedWindow(window=window, **result), None if language is None else tuple(language))

    def add(self, windows: Sequence[FinishedWindow]) -> None:
        """Record finished windows, all or none."""
        self._write([_describe(window) for window in windows])


class UnwrittenWindows:
    """Finished windows that are not in the journals of their recordings yet."""

    def __init__(self) -> None:
        self._windows: list[tuple[Any, FinishedWindow]] = []

    def add(self, recording: Any, result: RecognizedWindow, language: WindowLanguage | None = None) -> None:
        """Note a finished window, if its recording has a journal.

        Args:
            recording: its state, with the attributes `journal` and `is_read`.
            result: what was recognised.
            language: see `FinishedWindow`.
        """
        if recording.journal is not None:
            result = replace(result, states=None, log_probs=None, assistant_states=None)
            self._windows.append((recording, FinishedWindow(result, language)))

    def write(self) -> None:
        """Write all windows, except those of recordings that are read, whose transcripts follow."""
        for recording in dict.fromkeys(recording for recording, _ in self._windows):
            if not recording.is_read:
                recording.journal.add([window for other, window in self._windows if other is recording])
        self._windows = []


def _place_of(window: Window) -> tuple[int | None, int, int, int]:
    return window.channel, window.start_sample, window.core_start, window.core_stop


def _describe(finished: FinishedWindow) -> dict[str, Any]:
    result = finished.result
    kept = {field.name: getattr(result, field.name) for field in fields(result) if field.name not in _NOT_KEPT}
    kept["words"] = [asdict(word) for word in result.words]
    return {"place": _place_of(result.window), "language": finished.language, "result": kept}


def _hash_file(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_emptied(file: Path, digest: str | None) -> bool:
    """Whether a file that had the content of a hash is empty, after a power cut for example."""
    return file.stat().st_size == 0 and digest not in (None, "", hashlib.sha256().hexdigest())


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
        if path.suffix in (".safetensors", ".bin", ".onnx"):
            status = path.stat()
            identity[name] = [status.st_size, status.st_mtime_ns]
        elif path.suffix in (".json", ".model", ".txt", ".jinja"):
            identity[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return identity
