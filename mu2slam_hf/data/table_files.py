# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rows of data files (TSV, CSV, JSON lines, Parquet, tar), one at a time, of whole files or parts."""

import csv
import gzip
import json
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, TextIO

from mu2slam_hf.data.file_parts import WHOLE, Part, RowPosition
from mu2slam_hf.data.records import RecordError

Row = dict[str, Any]
TABLE_FORMATS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
"""Extension of a file -> format; all except Parquet may also end in `.gz`."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class ManifestError(RecordError):
    """A manifest that cannot be read; the message contains the file, and line and id if they are known."""


class UnreadableFileError(ManifestError):
    """A file that cannot be read (further): truncated, in another format, or without a column."""


# "file:line" for messages, and the row or its error.
PlacedRow = tuple[str, Row | ManifestError]
# Number of the line, bytes up to its end, cells.
PlacedCells = tuple[int, int, list[str]]


def table_format(path: Path) -> str | None:
    """tsv, csv, jsonl or parquet by the name of a file; None for any other name."""
    name = path.name.lower()
    packed = name.endswith(".gz")
    results = TABLE_FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    return None if packed and results == "parquet" else results


def table_rows(
    path: Path,
    file_format: str | None = None,
    columns: Collection[str] | None = None,
    *,
    part: Part = WHOLE,
    encoding: str | None = None,
) -> Iterator[PlacedRow]:
    """Rows of a table.

    Args:
        path: the file.
        file_format: tsv, csv, jsonl or parquet; default: by the name.
        columns: columns that are needed; Parquet files are read without the others.
        part: part of the rows.
        encoding: encoding of a table of text; None means UTF-8, with or without a byte order mark.

    Raises:
        ManifestError: another format, or the file cannot be read (further).
    """
    file_format = file_format or table_format(path)
    if file_format == "parquet":
        return parquet_rows(path, part, optional=columns)
    if file_format == "tsv":
        return tsv_rows(path, part, encoding=encoding)
    if file_format == "csv":
        return csv_rows(path, part, encoding=encoding)
    if file_format != "jsonl":
        raise ManifestError(
            f"{path}: unknown format; expected a name that ends in .tsv, .csv, .jsonl (each also with .gz) or "
            ".parquet; or, for sentences, in .txt or a language such as .en"
        )
    return json_rows(path, part, encoding=encoding)


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


def open_text(path: Path, encoding: str | None = None) -> TextIO:
    """A text file, also compressed by gzip (`.gz`). Lines end at line feeds only: texts may have other separators.

    Args:
        path: the file.
        encoding: None means UTF-8, with or without a byte order mark.
    """
    encoding = encoding or "utf-8-sig"
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="\n")  # type: ignore[return-value]
    return path.open(encoding=encoding, newline="\n")


def text_lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of every line; `encoding` as in `open_text`.

    In a file without line feeds, as some spreadsheets write it, lines end at carriage returns.
    """
    for number, _, line in _placed_lines(path, RowPosition(), encoding):
        yield number, line.rstrip("\r\n")


def _placed_lines(
    path: Path, start: RowPosition, encoding: str | None, *, at_returns: bool = False
) -> Iterator[tuple[int, int, str]]:
    """(number from 1, bytes up to its end, line with its end) of every line from a position on.

    Offsets are known in UTF-8 only; in another encoding they are 0, and lines are read from the first one on.

    Args:
        path: the file; `.gz` is decompressed.
        start: where to begin; only `line` and `offset` are used.
        encoding: as in `open_text`.
        at_returns: whether lines end at carriage returns too; in a file without line feeds they do in any case.
    """
    offset, number = (start.offset, start.line) if encoding is None else (0, 0)
    with reading(path), _open_binary(path) if encoding is None else open_text(path, encoding=encoding) as file:
        if offset:
            file.seek(offset)
        for content in file:
            if isinstance(content, bytes):
                line, size = content.decode("utf-8" if offset else "utf-8-sig"), len(content)
            else:
                line, size = content, 0
            splits = at_returns or (number == 0 and not line.endswith("\n"))
            *pieces, last = _LINE.findall(line) if splits and "\r" in line else (line,)
            for piece in pieces:
                number += 1
                yield number, offset, piece
            offset += size
            number += 1
            yield number, offset, last


def _open_binary(path: Path) -> IO[bytes]:
    """A file for reading; seeking in a compressed one decompresses up to the place."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


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

    def cells_from(start: RowPosition) -> Iterator[PlacedCells]:
        for number, offset, line in _placed_lines(path, start, encoding):
            line = line.rstrip("\r\n")
            if line:
                line = re.sub(r"\\(.)", r"\1", line) if backslash_escapes else line
                yield number, offset, line.split("\t")

    return _rows_of_cells(path, part, cells_from, names, required)


def csv_rows(path: Path, part: Part = WHOLE, *, encoding: str | None = None) -> Iterator[PlacedRow]:
    """Rows of a table with a header and the usual quoting; `.gz` is decompressed.

    Cells are separated by what separates the names of the columns: commas, semicolons (spreadsheets write them where
    the comma is the decimal separator) or tabs.
    """
    return _rows_of_cells(path, part, lambda start: _csv_cells(path, start, encoding))


def _csv_cells(path: Path, start: RowPosition, encoding: str | None) -> Iterator[PlacedCells]:
    offset = start.offset

    def lines() -> Iterator[str]:
        nonlocal offset
        for _, offset, line in _placed_lines(path, start, encoding, at_returns=True):  # noqa: B007
            yield line

    reader = csv.reader(lines(), delimiter=_csv_delimiter(path, encoding), strict=True)
    first = start.line if encoding is None else 0
    try:
        yield from ((first + reader.line_num, offset, cells) for cells in reader if cells)
    except csv.Error as error:
        reason = f"{error}; check that every quote in this row and above is closed, and doubled inside a cell"
        raise UnreadableFileError(f"{path}:{first + reader.line_num}: {reason}") from error


def _csv_delimiter(path: Path, encoding: str | None) -> str:
    lines = _placed_lines(path, RowPosition(), encoding, at_returns=True)
    header = next((line for _, _, line in lines if line.strip()), "")
    return max(",;\t", key=re.sub('"[^"]*"', "", header).count)


def _rows_of_cells(
    path: Path,
    part: Part,
    cells_from: Callable[[RowPosition], Iterator[PlacedCells]],
    names: Sequence[str] | None = None,
    required: Collection[str] = (),
) -> Iterator[PlacedRow]:
    lines, first = cells_from(RowPosition()), 0
    if names is None:
        number, _, names = next(lines, (0, 0, []))
        # Spreadsheets write empty names for columns that were once used; such columns are not read.
        twice = [name for name, count in Counter(names).items() if name and count > 1]
        if twice:
            raise UnreadableFileError(
                f"{path}:{number}: the column name {twice[0]!r} occurs twice; rename one of them"
            )
    check_columns(path, names, required)
    if part.start.offset:
        lines, first = cells_from(part.start), part.start.row
    for position, (number, offset, cells) in enumerate(lines, start=first):
        if not part.has(position, line=number, offset=offset):
            continue
        if len(cells) == len(names):
            yield f"{path}:{number}", dict(zip(names, cells, strict=True))
        else:
            reason = f"expected {len(names)} cells, got {len(cells)} (starts with {cells[0][:40]!r})"
            yield f"{path}:{number}", ManifestError(reason)


def json_rows(path: Path, part: Part = WHOLE, *, encoding: str | None = None) -> Iterator[PlacedRow]:
    """Objects of a file with one JSON object per line; `.gz` is decompressed."""
    first = part.start.row if part.start.offset else 0
    lines = _placed_lines(path, part.start, encoding)
    for position, (number, offset, line) in enumerate(lines, start=first):
        if not part.has(position, line=number, offset=offset) or not line.strip():
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
            groups = [n for n in range(file.num_row_groups) if not by_groups or n % part.count == part.index]
            position = 0
            while groups and position + file.metadata.row_group(groups[0]).num_rows <= part.start.row:
                position += file.metadata.row_group(groups.pop(0)).num_rows
            if not groups:
                return
            for batch in file.iter_batches(batch_size=32, row_groups=groups, columns=columns):
                for row in batch.to_pylist():
                    position += 1
                    if part.passes(position - 1) if by_groups else part.has(position - 1):
                        yield f"{path}, row {position}", row
    except pa.ArrowException as error:
        raise UnreadableFileError(f"{path}: not valid Parquet ({error})") from error


def tar_files(path: Path, part: Part = WHOLE) -> Iterator[tuple[str, bytes]]:
    """(name within the archive, content) of the files in a `.tar` or `.tar.gz`, in one pass."""
    first = part.start.row if part.start.offset else 0
    with reading(path), open_archive(path, part.start.offset) as archive:
        for position, member in enumerate(archive_files(archive), start=first):
            has = part.has(position, offset=end_of_member(member))
            content = archive.extractfile(member) if has else None
            if content is not None:
                yield member.name, content.read()


MAX_MEMBER_BYTES = 2**31
"""Size of the largest file of an archive that is read: a recording of a day. A header may claim any size, and a few
megabytes may be unpacked to gigabytes."""


@contextmanager
def open_archive(path: Path, offset: int = 0) -> Iterator[tarfile.TarFile]:
    """A tar archive from the file on that begins at `offset`; compression is found by the content."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        content: Any = gzip.GzipFile(fileobj=file) if packed else file
        content.seek(offset)
        with tarfile.open(fileobj=content, mode="r:") as archive:
            yield archive


def archive_files(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The regular files of an archive, one after the other; the archive keeps none of them in memory."""
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]
        if member.size > MAX_MEMBER_BYTES:
            raise tarfile.TarError(f"{member.name} is larger than {MAX_MEMBER_BYTES // 2**20} MB")
        if member.isfile():
            yield member


def end_of_member(member: tarfile.TarInfo) -> int:
    """Where the next file of an archive begins."""
    return member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


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
