# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Manifests as shards of a stream: any number of tables or files of sentences, read row by row."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu2slam_hf.data.corpora.reader import FaultCount, PlacedRecords
from mu2slam_hf.data.durations import seconds_of, stated_seconds
from mu2slam_hf.data.file_parts import WHOLE, Part, RowPosition
from mu2slam_hf.data.language_sizes import LanguageSize, measure_rows, size_columns
from mu2slam_hf.data.manifests import ManifestColumns, placed_records, read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.shard_files import manifest_rows
from mu2slam_hf.data.table_files import ManifestError, PlacedRow


@dataclass(frozen=True, kw_only=True)
class ManifestShardReader:
    """Reads one manifest after another: `for record in reader("train-0001.jsonl.gz"): ...`.

    Attributes:
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if there is no such column.
        corpus: corpus name of the records.
        audio_root: folder that audio paths are relative to; default: the folder of each file.
        language: canonical language of the rows to read; None for all.
        max_duration_seconds: longer recordings are left out.
        failures: counts rows that cannot be read, which are then skipped; None raises at the first.
        reads_headers: whether missing durations are read from the recordings, to leave out longer ones.
    """

    columns: ManifestColumns | None = None
    lang: str | None = None
    corpus: str
    audio_root: str | os.PathLike[str] | None = None
    language: str | None = None
    max_duration_seconds: float | None = None
    failures: FaultCount | None = None
    reads_headers: bool = True

    def __call__(self, shard: str | os.PathLike[str]) -> Iterator[SpeechTextRecord]:
        """Records of a file, one at a time.

        Raises:
            ManifestError: invalid row, with file and line, unless `failures` counts them; truncated file or other
                format in any case.
        """
        for records, _ in self.read_from(shard):
            yield from records

    def read_from(
        self,
        shard: str | os.PathLike[str],
        start: RowPosition = RowPosition(),  # noqa: B008
    ) -> Iterator[PlacedRecords]:
        """Records of a file from a position on, one in each list, and the position after it.

        Raises:
            ManifestError: as from calling the reader.
        """
        path, part = Path(shard), Part(start=start)
        records = placed_records(
            self.rows(path, part=part),
            columns=self.columns,
            lang=self.lang,
            corpus=self.corpus,
            root=Path(self.audio_root) if self.audio_root is not None else path.parent,
            name_row=lambda: f"{path.name}-{part.position.row}",
            language=self.language,
        )
        for _, _, record in records:
            try:
                if isinstance(record, ManifestError):
                    raise record
                if self._is_too_long(record):
                    continue
            except ValueError as error:
                if self.failures is None:
                    raise
                self.failures.add(str(error))
                continue
            if self.failures is not None:
                self.failures.add(None)
            yield [record], part.position

    def rows(self, path: Path, columns: Collection[str] | None = None, part: Part = WHOLE) -> Iterator[PlacedRow]:
        """Rows of a file, with at least the given `columns`."""
        return manifest_rows(path, columns=columns, part=part)

    def measure(self, shard: str | os.PathLike[str]) -> dict[str, LanguageSize]:
        """Language -> rows and hours of a file, in one pass without reading audio."""
        rows = (row for _, row in self.rows(Path(shard), size_columns(self.columns)) if isinstance(row, dict))
        return measure_rows(rows, self.columns, self.lang)

    def _is_too_long(self, record: SpeechTextRecord) -> bool:
        longest = self.max_duration_seconds
        if longest is None or record.audio is None:
            return False
        if not self.reads_headers:
            seconds = stated_seconds(record.duration_seconds, record.audio)
            return seconds is not None and seconds > longest
        return seconds_of(record.duration_seconds, record.audio, record.key) > longest


Folder = str | os.PathLike[str]


def read_split(
    root: Folder, split: str, *, max_duration_seconds: float | None = None, **options: Any
) -> list[SpeechTextRecord]:
    """Records of `<split>.tsv`.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        max_duration_seconds: longer clips are left out.
        options: as for `read_manifest`.

    Raises:
        FileNotFoundError: unknown split; the message lists the existing ones.
    """
    path = Path(root) / f"{split}.tsv"
    if not path.is_file():
        there = sorted(results.stem for results in Path(root).glob("*.tsv")) or "no .tsv at all"
        raise FileNotFoundError(f"{path}: no such split; the folder has {there}")
    return not_longer(read_manifest(path, **options), max_duration_seconds)


def not_longer(records: list[SpeechTextRecord], max_duration_seconds: float | None) -> list[SpeechTextRecord]:
    """The records whose recordings do not exceed a duration; None keeps all."""
    if max_duration_seconds is None:
        return records
    return [record for record in records if (record.duration_seconds or 0.0) <= max_duration_seconds]
