# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The truth of an index: Parquet files that are written once, each with the clips of a group of recordings.

The rows of a path in the latest file that has any replace all earlier ones; a row without a clip says that the
recording is gone. Nothing is changed in place, so that a process that is killed loses one file at most.
Shapes: n clips, D width of a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.search.clips import Clip

_COLUMNS = ("path", "content", "size", "changed_ns", "start_seconds", "end_seconds", "language")


@dataclass(frozen=True, kw_only=True)
class IndexedRecording:
    """A recording with its clips; one without clips is gone.

    Attributes:
        path: absolute path.
        content: hash of its content.
        size, changed_ns: of the file, by which an unchanged one is known without reading it.
        clips: its clips.
        vectors: `(n, D)` float16.
    """

    path: str
    content: str
    size: int
    changed_ns: int
    clips: Sequence[Clip] = ()
    vectors: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, 0), np.float16))


class SegmentError(ValueError):
    """A file of an index that cannot be read; the message names it."""


class Segments:
    """The Parquet files of an index.

    Args:
        folder: folder of the files; created when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def files(self) -> list[Path]:
        """The files, in the order in which they were written."""
        return sorted(self.folder.glob("*.parquet"))

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file is added or removed."""
        return blake2b("\n".join(file.name for file in self.files).encode(), digest_size=8).hexdigest()

    def write(self, recordings: Sequence[IndexedRecording]) -> None:
        """Write a file with some recordings."""
        columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, "vector")}
        for recording in recordings:
            rows = zip(recording.clips, recording.vectors, strict=True) if recording.clips else [(None, None)]
            for clip, vector in rows:
                values = (recording.path, recording.content, recording.size, recording.changed_ns)
                place = (None,) * 3 if clip is None else (clip.start_seconds, clip.end_seconds, clip.language)
                for name, value in zip(columns, (*values, *place, vector), strict=True):
                    columns[name].append(value)
        types = dict.fromkeys(("path", "content", "language"), pa.string())
        types |= dict.fromkeys(("size", "changed_ns"), pa.int64())
        types |= dict.fromkeys(("start_seconds", "end_seconds"), pa.float64())
        table = pa.table({name: pa.array(columns[name], types.get(name, pa.list_(pa.float16()))) for name in columns})
        number = int(self.files[-1].stem) + 1 if self.files else 0
        with atomic_path(self.folder / f"{number:08d}.parquet") as temporary:
            pq.write_table(table, temporary)

    def read(self, *, with_vectors: bool = True) -> dict[str, IndexedRecording]:
        """All recordings that are there, by path.

        Args:
            with_vectors: whether to read the vectors too, which are nearly all of the files.

        Raises:
            SegmentError: a file is damaged.
        """
        live: dict[str, IndexedRecording] = {}
        for file in self.files:
            try:
                table = pq.read_table(file, columns=[*_COLUMNS, *(["vector"] if with_vectors else [])])
            except (OSError, pa.ArrowException) as error:
                raise SegmentError(
                    f"{file}: cannot be read ({error}); delete it and index the recordings again"
                ) from error
            for recording in _recordings_of(table):
                live.pop(recording.path, None)
                if recording.clips:
                    live[recording.path] = recording
        return live


def _recordings_of(table: pa.Table) -> list[IndexedRecording]:
    columns = {name: table[name].to_pylist() for name in _COLUMNS}
    paths = columns["path"]
    vectors = None
    if "vector" in table.column_names:
        lists = table["vector"].combine_chunks()
        flat = lists.flatten().to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(np.asarray(lists.value_lengths().fill_null(0)))])
        vectors = flat, offsets
    recordings, first = [], 0
    while first < len(paths):
        last = first
        while last < len(paths) and paths[last] == paths[first]:
            last += 1
        rows = [row for row in range(first, last) if columns["start_seconds"][row] is not None]
        clips = [
            Clip(
                path=paths[row],
                start_seconds=columns["start_seconds"][row],
                end_seconds=columns["end_seconds"][row],
                language=columns["language"][row],
            )
            for row in rows
        ]
        own = {name: columns[name][first] for name in ("path", "content", "size", "changed_ns")}
        if vectors is not None and rows:
            flat, offsets = vectors
            part = flat[offsets[rows[0]] : offsets[rows[-1] + 1]].reshape(len(rows), -1)
            recordings.append(IndexedRecording(**own, clips=clips, vectors=part))
        else:
            recordings.append(IndexedRecording(**own, clips=clips))
        first = last
    return recordings
