# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rows of data files (TSV, CSV, JSON lines, Parquet, tar), one at a time, of whole files or parts."""

import csv
import gzip
import json
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from mu2slam_hf.data.records import RecordError

Row = dict[str, Any]
TABLE_FORMATS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""Extension of a file -> format; all except Parquet may also end in `.gz`."""


class ManifestError(RecordError):
    """A manifest that cannot be read; the message contains the file, and line and id if they are known."""


class UnreadableFileError(ManifestError):
    """A file that cannot be read (further): truncated, in another format, or without a column."""


# "file:line" for messages, and the row or its error.
PlacedRow = tuple[str, Row | ManifestError]


@dataclass(frozen=True)
class Part:
    """Every `count`-th row of a file, from row `index` on; (0, 1) is the whole file."""

    index: int = 0
    count: int = 1

    def has(self, position: int) -> bool:
        """Whether row `position` (from 0) belongs to this part."""
        return position % self.count == self.index


WHOLE = Part()


def table_format(path: Path) -> str | None:
    """tsv, csv, jsonl or parquet by the name of a file; None for any other name."""
    name = path.name.lower()
    packed = name.endswith(".gz")
    found = TABLE_FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    return None if packed and found == "parquet" else found


def table_rows(
    path: Path,
    file_format: str | None = None,
    columns: Collection[str] | None = None,
    *,
    encoding: str | None = None,
) -> Iterator[PlacedRow]:
    """Rows of a table.

    Args:
        path: the file.
        file_format: tsv, csv, jsonl or parquet; default: by the name.
        columns: columns that are needed; Parquet files are read without the others.
        encoding: encoding of a table of text; None means UTF-8, with or without a byte order mark.

    Raises:
        ManifestError: another format, or the file cannot be read (further).
    """
    file_format = file_format or table_format(path)
    if file_format == "parquet":
        return parquet_rows(path, optional=columns)
    if file_format == "tsv":
        return tsv_rows(path, encoding=encoding)
    if file_format == "csv":
        return csv_rows(path, encoding=encoding)
    if file_format != "jsonl":
        raise ManifestError(
            f"{path}: unknown format; expected a name that ends in .tsv, .csv, .jsonl (each also with .gz) or .parquet"
        )
    return json_rows(path, encoding=encoding)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Converts every error of reading a file into an `UnreadableFileError` with its path."""
    try:
        yield
    except ManifestError:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path}: not valid {error.encoding.upper()} ({error.reason})") from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UnreadableFileError(f"{path}: cannot be read, or is truncated ({error})") from error


def open_text(path: Path, newline: str = "\n", encoding: str | None = None) -> TextIO:
    """A text file, also compressed by gzip (`.gz`). Lines end at line feeds only: texts may have other separators.

    Args:
        path: the file.
        newline: as in `open`.
        encoding: None means UTF-8, with or without a byte order mark.
    """
    encoding = encoding or "utf-8-sig"
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline=newline)  # type: ignore[return-value]
    return path.open(encoding=encoding, newline=newline)


def text_lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of every line; `encoding` as in `open_text`.

    In a file without line feeds, as some spreadsheets write it, lines end at carriage returns.
    """
    with reading(path), open_text(path, encoding=encoding) as file:
        first = file.readline()
        is_whole_file = first != "" and not first.endswith("\n")
        lines = first.removesuffix("\r").split("\r") if is_whole_file else chain([first] if first else [], file)
        for number, line in enumerate(lines, start=1):
            yield number, line.rstrip("\r\n")


def tsv_rows(
    path: Path,
    part: Part = WHOLE,
    *,
    names: Sequence[str] | None = None,
    required: Collection[str] = (),
    backslash_escapes: bool = False,
    encoding: str | None = None,
) -> Iterator[PlacedRow]:
    r"""Rows of a tab-separated table without quoting (a quote is an ordinary character).

    Args:
        path: the table; `.gz` is decompressed.
        part: part of the rows.
        names: names of the columns of a file without a header; default: the first line.
        required: columns that must exist.
        backslash_escapes: whether `\"` means `"` (files written by pandas without quoting).
        encoding: as in `open_text`.

    Raises:
        UnreadableFileError: a required column is missing, or the file is truncated.
    """
    lines = ((number, line) for number, line in text_lines(path, encoding) if line)
    if backslash_escapes:
        lines = ((number, re.sub(r"\\(.)", r"\1", line)) for number, line in lines)
    return _rows_of_cells(path, part, ((number, line.split("\t")) for number, line in lines), names, required)


def csv_rows(path: Path, part: Part = WHOLE, *, encoding: str | None = None) -> Iterator[PlacedRow]:
    """Rows of a comma-separated table with a header and the usual quoting; `.gz` is decompressed."""
    return _rows_of_cells(path, part, _csv_cells(path, encoding))


def _csv_cells(path: Path, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    with reading(path), open_text(path, newline="", encoding=encoding) as file:
        reader = csv.reader(file, strict=True)
        try:
            yield from ((reader.line_num, cells) for cells in reader if cells)
        except csv.Error as error:
            reason = f"{error}; check that every quote in this row and above is closed, and doubled inside a cell"
            raise UnreadableFileError(f"{path}:{reader.line_num}: {reason}") from error


def _rows_of_cells(
    path: Path,
    part: Part,
    lines: Iterator[tuple[int, list[str]]],
    names: Sequence[str] | None = None,
    required: Collection[str] = (),
) -> Iterator[PlacedRow]:
    if names is None:
        number, names = next(lines, (0, []))
        # Spreadsheets write empty names for columns that were once used; such columns are not read.
        twice = [name for name, count in Counter(names).items() if name and count > 1]
        if twice:
            raise UnreadableFileError(
                f"{path}:{number}: the column name {twice[0]!r} occurs twice; rename one of them"
            )
    check_columns(path, names, required)
    for position, (number, cells) in enumerate(lines):
        if not part.has(position):
            continue
        if len(cells) == len(names):
            yield f"{path}:{number}", dict(zip(names, cells, strict=True))
        else:
            reason = f"expected {len(names)} cells, got {len(cells)} (starts with {cells[0][:40]!r})"
            yield f"{path}:{number}", ManifestError(reason)


def json_rows(path: Path, part: Part = WHOLE, *, encoding: str | None = None) -> Iterator[PlacedRow]:
    """Objects of a file with one JSON object per line; `.gz` is decompressed."""
    for position, (number, line) in enumerate(text_lines(path, encoding)):
        if not line.strip() or not part.has(position):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"{path}:{number}", ManifestError(f"not valid JSON ({error})")
            continue
        fault = ManifestError(f"expected an object with columns, got {type(row).__name__}")
        yield f"{path}:{number}", row if isinstance(row, dict) else fault


def parquet_rows(
    path: Path, part: Part = WHOLE, *, required: Collection[str] = (), optional: Collection[str] | None = ()
) -> Iterator[PlacedRow]:
    """Rows of a Parquet file, a few at a time; only the columns `required` and `optional` are read.

    With `optional=None` all columns are read. Parts consist of whole row groups if there are enough of them, so that
    a part reads only its share.

    Raises:
        UnreadableFileError: a required column is missing, or the file is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with reading(path), pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_columns(path, names, required)
            columns = names if optional is None else [name for name in names if name in {*required, *optional}]
            by_groups = file.num_row_groups >= part.count
            groups = [group for group in range(file.num_row_groups) if not by_groups or part.has(group)]
            if not groups:
                return
            position = 0
            for batch in file.iter_batches(batch_size=32, row_groups=groups, columns=columns):
                for row in batch.to_pylist():
                    position += 1
                    if by_groups or part.has(position - 1):
                        yield f"{path}, row {position}", row
    except pa.ArrowException as error:
        raise UnreadableFileError(f"{path}: not valid Parquet ({error})") from error


def tar_files(path: Path, part: Part = WHOLE) -> Iterator[tuple[str, bytes]]:
    """(name within the archive, content) of the files in a `.tar` or `.tar.gz`, in one pass."""
    position = 0
    with reading(path), tarfile.open(path, "r|*") as archive:
        for member in archive:
            if not member.isfile():
                continue
            position += 1
            content = archive.extractfile(member) if part.has(position - 1) else None
            if content is not None:
                yield member.name, content.read()


def archived_rows(path: Path, part: Part, table: Mapping[str, Row], *, by: str = "name") -> Iterator[PlacedRow]:
    """The rows of a table whose recordings are files of a tar archive, with their bytes under `audio`.

    Args:
        path: the archive; files that are not in the table are skipped.
        part: part of the files.
        table: `name` or `stem` of a file -> its row.
        by: key of the table, `name` or `stem`.
    """
    for name, content in tar_files(path, part):
        row = table.get(getattr(PurePosixPath(name), by))
        if row is not None:
            yield f"{path}:{name}", {**row, "audio": {"path": name, "bytes": content}}


@lru_cache(maxsize=4)
def keyed_rows(
    path: Path, key: str, *, names: tuple[str, ...] | None = None, required: tuple[str, ...] = ()
) -> dict[str, Row]:
    """The valid rows of a tab-separated table by one of their columns; cached for the archives of a split."""
    rows = tsv_rows(path, names=names, required=(key, *required))
    return {row[key]: row for _, row in rows if isinstance(row, dict)}


def check_columns(path: Path, names: Collection[str], required: Iterable[str]) -> None:
    """Raise an `UnreadableFileError` if a required column is missing."""
    missing = [name for name in required if name not in names]
    if missing:
        raise UnreadableFileError(f"{path}: no column {missing[0]!r}; the columns are {', '.join(names) or 'none'}")
