# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Manifests as shards of a stream: any number of Parquet, JSONL or TSV files, read row by row."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mu2slam_hf.data.corpora.files import PlacedRow, json_rows, parquet_rows, reading, tsv_rows
from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.manifests import ManifestColumns, ManifestError, RowReader
from mu2slam_hf.data.records import SpeechTextRecord


@dataclass(frozen=True, kw_only=True)
class ManifestShardReader:
    """Reads one manifest after another: `for record in reader("train-0001.jsonl.gz"): ...`; files end as is usual.

    Attributes:
        columns: which column holds what; default: the usual names.
        lang: language of all rows, where there is no such column.
        corpus: name given to the records.
        audio_root: what relative audio paths start from; default: the folder of each file.
        failures: counts rows that cannot be read, which are then skipped; None raises at the first.
    """

    columns: ManifestColumns | None = None
    lang: str | None = None
    corpus: str
    audio_root: str | os.PathLike[str] | None = None
    failures: FaultCount | None = None

    def __call__(self, shard: str) -> Iterator[SpeechTextRecord]:
        """Records of a file, one at a time.

        Raises:
            ManifestError: a faulty row, named by file and line, unless `failures` counts them; always where the file
                itself breaks off or is of another format.
        """
        path = Path(shard)
        root = Path(self.audio_root) if self.audio_root is not None else path.parent
        names: list[str] = []
        rows: RowReader | None = None
        for number, (place, row) in enumerate(_rows(path), start=1):
            if isinstance(row, ManifestError):
                self._count(f"{place}: {row}", row)
                continue
            try:
                if rows is None or any(name not in names for name in row):
                    # Rows of JSONL may have columns that those before did not have.
                    names += [name for name in row if name not in names]
                    rows = RowReader(self.columns, self.lang, self.corpus, root, names=names, place=place)
                record = rows.record(row, place, f"{path.name}-{number}")
            except ManifestError as error:
                self._count(str(error), error)
                continue
            if self.failures is not None:
                self.failures.add(None)
            yield record

    def _count(self, reason: str, error: ManifestError) -> None:
        if self.failures is None:
            raise ManifestError(reason) from error
        self.failures.add(reason)


def _rows(path: Path) -> Iterator[PlacedRow]:
    kinds = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if kinds == "parquet":
        import pyarrow.parquet as pq

        with reading(path):
            names = pq.read_schema(path).names
        return parquet_rows(path, optional=names)
    if kinds in ("jsonl", "json"):
        return json_rows(path)
    if kinds == "tsv":
        return tsv_rows(path)
    raise ManifestError(f"{path}: a shard must end in .parquet, .jsonl, .json or .tsv (the last three also with .gz)")
