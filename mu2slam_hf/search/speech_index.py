# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""An index of recordings: clips that are found by a sentence, in any language of the model, or by a recording."""

import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mu2slam_hf.atomic_files import atomic_path, write_text
from mu2slam_hf.data.audio import AudioError, hash_audio
from mu2slam_hf.data.recording_files import RECORDING_SUFFIXES, walk_files
from mu2slam_hf.locks import locked_folder
from mu2slam_hf.search.clips import Clip, ClipEncoder, SearchHit, Vectors, cut_recording, prepare_vectors
from mu2slam_hf.search.segments import IndexedRecording, Segments

CLIP_SECONDS = 10.0
"""Longest clip: about a sentence."""
GROUP_CLIPS = 256
"""Clips after which a file is written: what an interrupted run computes again at most, with one recording."""


@dataclass(frozen=True, kw_only=True)
class IndexChanges:
    """What `SpeechIndex.add` has changed.

    Attributes:
        added, changed, moved, removed: numbers of recordings.
        errors: path of a recording that cannot be read -> reason.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    errors: dict[str, str]


class SpeechIndex:
    """A folder with the clips of recordings, their vectors, and an index of these.

    The Parquet files in `segments` are the truth; `built-*` is derived from them and is built again if it is missing.
    See `open`.

    Args:
        folder: the folder.
        encoder: encoder of the clips and queries.
        clip_seconds: maximum length of a clip.
    """

    def __init__(self, folder: Path, encoder: ClipEncoder, clip_seconds: float) -> None:
        self.folder, self.encoder, self.clip_seconds = folder, encoder, clip_seconds
        self.segments = Segments(folder / "segments")
        self._opened: tuple[str, Any, list[Clip], Vectors | None] | None = None

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], model: Any, processor: Any, *, clip_seconds: float | None = None
    ) -> "SpeechIndex":
        """Open an index, or create it.

        Args:
            folder: folder of the index.
            model: see `ClipEncoder`.
            processor: its processor.
            clip_seconds: maximum length of a clip; None: that of the index, or 10 s for a new one.

        Raises:
            ValueError: the index was made with another model or another length of clips, or the folder is not one.
        """
        folder, encoder = Path(folder), ClipEncoder(model, processor)
        file = folder / "index.json"
        if file.is_file():
            known = json.loads(file.read_text(encoding="utf-8"))
            differing = [name for name, value in encoder.describe().items() if known.get(name) != value]
            if differing:
                raise ValueError(
                    f"{folder}: the index was made with another model ({known['model']}; differs in "
                    f"{', '.join(differing)}); pass that one, or make a new index"
                )
            if clip_seconds not in (None, known["clip_seconds"]):
                raise ValueError(f"{folder}: the clips of the index have at most {known['clip_seconds']:g} s")
            return cls(folder, encoder, known["clip_seconds"])
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder}: is not an index, and not empty; choose another folder")
        clip_seconds = CLIP_SECONDS if clip_seconds is None else clip_seconds
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps({**encoder.describe(), "clip_seconds": clip_seconds}, indent=1) + "\n")
        return cls(folder, encoder, clip_seconds)

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        language: str | None = None,
        *,
        index_type: str | None = None,
        recall: float = 0.95,
    ) -> IndexChanges:
        """Bring the index up to date with recordings and folders of them.

        Only what is new or has changed is computed: a file is known by its path, size and time of change, else by its
        content, so that a moved file is not computed again. Recordings of these folders that are gone are removed.

        Args:
            paths: files, and folders with their sub-folders.
            language: spoken language of all of them, for models that take it; None means unknown.
            index_type: see `build_index`.
            recall: likewise.

        Raises:
            ValueError: a path does not exist, or another process adds to the index.
        """
        roots = [os.path.abspath(path) for path in paths]
        for root in roots:
            if not os.path.exists(root):
                raise ValueError(f"{root}: no such file or folder")
        files = dict.fromkeys(file for root in roots for file in _files_of(root))
        with locked_folder(self.folder):
            changes = self._add(roots, files, language)
        if self.clips():
            self._build(index_type, recall)
        return changes

    def _add(self, roots: Sequence[str], files: Collection[str], language: str | None) -> IndexChanges:
        known = self.segments.read()
        gone = {
            path: recording
            for path, recording in known.items()
            if path not in files and any(path == root or path.startswith(root + os.sep) for root in roots)
        }
        # A file may have been moved out of these folders' reach too, so every known content counts.
        by_content = {recording.content: recording for recording in known.values()}
        counts = dict.fromkeys(("added", "changed", "moved", "removed"), 0)
        errors: dict[str, str] = {}
        group: list[IndexedRecording] = []
        for file in files:
            before = known.get(file)
            try:
                recording = self._update(file, before, by_content, language)
            except (AudioError, OSError) as error:
                errors[file] = str(error)
                # What it was before it changed is not what it is.
                group += [] if before is None else [replace(before, clips=())]
                continue
            if recording is None:
                continue
            source = by_content.get(recording.content)
            kind = "changed" if before else "moved" if source is not None and source.path in gone else "added"
            counts[kind] += 1
            group.append(recording)
            by_content.setdefault(recording.content, recording)
            if kind == "moved" and source is not None:
                # In one file with its new place: a recording that is moved is there exactly once at any time.
                del gone[source.path]
                group.append(replace(source, clips=()))
            if sum(len(item.clips) for item in group) >= GROUP_CLIPS:
                self.segments.write(group)
                group = []
        counts["removed"] = len(gone)
        group += [replace(recording, clips=()) for recording in gone.values()]
        if group:
            self.segments.write(group)
        return IndexChanges(**counts, errors=errors)

    def _update(
        self,
        file: str,
        before: IndexedRecording | None,
        by_content: dict[str, IndexedRecording],
        language: str | None,
    ) -> IndexedRecording | None:
        """The new rows of a file; None if it has not changed."""
        status = os.stat(file)
        size, changed_ns = status.st_size, status.st_mtime_ns
        if before is not None and not _is_in(before, language):
            before = None  # the vectors of a model may depend on the language
        if before is not None and (before.size, before.changed_ns) == (size, changed_ns):
            return None
        content = hash_audio(file)
        same = before if before is not None and before.content == content else by_content.get(content)
        if same is not None and _is_in(same, language):
            clips = [replace(clip, path=file) for clip in same.clips]
            return replace(same, path=file, size=size, changed_ns=changed_ns, clips=clips)
        clips, vectors = [], []
        for places, waveforms in _batches(cut_recording(file, self.clip_seconds)):
            clips += [
                Clip(path=file, start_seconds=start, end_seconds=end, language=language) for start, end in places
            ]
            vectors.append(self.encoder.encode_clips(waveforms, [language] * len(waveforms)))
        return IndexedRecording(
            path=file,
            content=content,
            size=size,
            changed_ns=changed_ns,
            clips=clips,
            vectors=np.concatenate(vectors).astype(np.float16),
        )

    def search(
        self,
        text: str | None = None,
        *,
        audio: Any = None,
        language: str | None = None,
        top: int = 5,
    ) -> list[SearchHit]:
        """The clips that are nearest to a sentence or to a recording, best first.

        Args:
            text: the sentence, in any language of the model; or
            audio: the recording, in any form that `load_audio` accepts.
            language: language of the query, for models that take it; None means unknown.
            top: number of clips.

        Raises:
            ValueError: not exactly one of text and audio, or an empty index.
            AudioError: the recording cannot be read.
        """
        nearest, clips, center = self._load()
        query = self.encoder.encode_query(center, text=text, audio=audio, language=language)
        scores, rows = nearest.search(query[None], top)
        return [
            SearchHit(**vars(clips[row]), score=float(score))
            for score, row in zip(scores[0], rows[0], strict=True)
            if row >= 0
        ]

    def clips(self) -> list[Clip]:
        """All clips, without their vectors."""
        return [clip for recording in self.segments.read(with_vectors=False).values() for clip in recording.clips]

    def vectors(self) -> tuple[list[Clip], Vectors, Vectors | None]:
        """All clips, their vectors `(n, D)` as they are compared, and the centre `(D,)` that was subtracted."""
        recordings = list(self.segments.read().values())
        clips = [clip for recording in recordings for clip in recording.clips]
        if not clips:
            return [], np.zeros((0, 0), np.float32), None
        raw = np.concatenate([recording.vectors for recording in recordings]).astype(np.float32)
        if not self.encoder.is_centered:
            return clips, raw, None
        center = raw.mean(axis=0)
        return clips, prepare_vectors(raw, center), center

    def _load(self) -> tuple[Any, list[Clip], Vectors | None]:
        from mu2slam_hf.search.faiss_index import NearestVectors

        fingerprint = self.segments.fingerprint
        if self._opened is None or self._opened[0] != fingerprint:
            folder = self._build()
            content = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
            center = content["center"]
            self._opened = (
                fingerprint,
                NearestVectors.open(folder),
                [Clip(**dict(zip(content["names"], row, strict=True))) for row in content["clips"]],
                None if center is None else np.asarray(center, np.float32),
            )
        return self._opened[1:]

    def _build(self, index_type: str | None = None, recall: float = 0.95) -> Path:
        """The folder that is derived from the present segments; built if it is not there."""
        from mu2slam_hf.search.faiss_index import build_index

        folder = self.folder / f"built-{self.segments.fingerprint}"
        if not folder.is_dir():
            clips, vectors, center = self.vectors()
            if not clips:
                raise ValueError(f"{self.folder}: the index is empty; add recordings with `mu2slam index`")
            names = list(Clip.__dataclass_fields__)
            content = {
                "names": names,
                "center": None if center is None else center.tolist(),
                "clips": [[getattr(clip, name) for name in names] for clip in clips],
            }
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                build_index(temporary, vectors, index_type, recall)
                (temporary / "clips.json").write_text(json.dumps(content), encoding="utf-8")
        for other in self.folder.glob("built-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return folder


def _is_in(recording: IndexedRecording, language: str | None) -> bool:
    """Whether the clips of a recording have a language; one that is not given may be any."""
    return language is None or all(clip.language == language for clip in recording.clips)


def _files_of(root: str) -> Iterator[str]:
    if os.path.isdir(root):
        yield from (str(path) for path in walk_files(root) if path.suffix.lower() in RECORDING_SUFFIXES)
    else:
        yield root


def _batches(
    pieces: Iterator[tuple[float, float, Any]], size: int = 32
) -> Iterator[tuple[list[tuple[float, float]], list[Any]]]:
    """Places and waveforms of clips, some at a time, so that a long recording is not in memory as a whole."""
    places: list[tuple[float, float]] = []
    waveforms: list[Any] = []
    for start, end, waveform in pieces:
        places.append((start, end))
        waveforms.append(waveform)
        if len(places) == size:
            yield places, waveforms
            places, waveforms = [], []
    if places:
        yield places, waveforms
