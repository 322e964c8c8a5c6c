# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Rows of the files that public corpora come in (TSV, JSON lines, Parquet, tar), one at a time, whole or in parts."""

import gzip
import json
import re
import tarfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mu2slam_hf.data.manifests import ManifestError

Row = dict[str, Any]
# "file:line" for messages, and the row or what is wrong with it.
PlacedRow = tuple[str, Row | ManifestError]


class UnreadableFileError(ManifestError):
    """A whole file of a corpus that cannot be read (further): cut off, another format, without a column."""


@dataclass(frozen=True)
class Part:
    """Every `count`-th row of a file, from row `index` on; (0, 1) is all of it."""

    index: int = 0
    count: int = 1

    def has(self, position: int) -> bool:
        """Whether row `position` (from 0) belongs to this part."""
        return position % self.count == self.index


WHOLE = Part()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns everything that goes wrong with a file into an `UnreadableFileError` that names it."""
    try:
        yield
    except ManifestError:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path}: not UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UnreadableFileError(f"{path}: cannot be read, or is cut off ({error})") from error


def open_text(path: Path) -> TextIO:
    """A text file, or one packed by gzip (`.gz`). Lines end at line feeds only: texts hold stranger separators."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")  # type: ignore[return-value]
    return path.open(encoding="utf-8-sig", newline="\n")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of every line."""
    with reading(path), open_text(path) as file:
        for number, line in enumerate(file, start=1):
            yield number, line.rstrip("\r\n")


def tsv_rows(
    path: Path,
    part: Part = WHOLE,
    *,
    names: Sequence[str] | None = None,
    required: Collection[str] = (),
    delimiter: str = "\t",
    backslash_escapes: bool = False,
) -> Iterator[PlacedRow]:
    r"""Rows of a table without quoting (a quote is a character like others).

    Args:
        path: the table; `.gz` is unpacked.
        part: which rows.
        names: names of the columns of a file without a header; default: the first line.
        required: columns that must be there.
        delimiter: between cells.
        backslash_escapes: `\"` stands for `"` (files written by pandas without quoting).

    Raises:
        UnreadableFileError: a required column is missing, or the file ends in the middle.
    """
    lines = ((number, line) for number, line in text_lines(path) if line)
    if names is None:
        names = next(lines, (0, ""))[1].split(delimiter)
    check_columns(path, names, required)
    for position, (number, line) in enumerate(lines):
        if not part.has(position):
            continue
        if backslash_escapes:
            line = re.sub(r"\\(.)", r"\1", line)
        cells = line.split(delimiter)
        place = f"{path}:{number}"
        if len(cells) == len(names):
            yield place, dict(zip(names, cells, strict=True))
        else:
            yield place, ManifestError(f"{len(cells)} cells instead of {len(names)} (starts {cells[0][:40]!r})")


def json_rows(path: Path, part: Part = WHOLE) -> Iterator[PlacedRow]:
    """Objects of a file with one JSON object per line."""
    for position, (number, line) in enumerate(text_lines(path)):
        if not line.strip() or not part.has(position):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            yield f"{path}:{number}", ManifestError(f"not JSON ({error})")
            continue
        yield f"{path}:{number}", row if isinstance(row, dict) else ManifestError("not an object")


def parquet_rows(
    path: Path, part: Part = WHOLE, *, required: Collection[str] = (), optional: Collection[str] = ()
) -> Iterator[PlacedRow]:
    """Rows of a Parquet file, a few at a time; columns that are not asked for are not read.

    Whole row groups are handed out to the parts where there are enough of them, so that a part reads only its share.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with reading(path), pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_columns(path, names, required)
            columns = [name for name in names if name in {*required, *optional}]
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
        raise UnreadableFileError(f"{path}: not readable as Parquet ({error})") from error


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


def check_columns(path: Path, names: Collection[str], required: Iterable[str]) -> None:
    """Raise an `UnreadableFileError` where a required column is missing."""
    missing = [name for name in required if name not in names]
    if missing:
        raise UnreadableFileError(f"{path}: no column {missing[0]!r}; there are {', '.join(names) or 'none'}")


def split_spellings(split: str) -> tuple[str, ...]:
    """The split's name and the other one for the same: corpora write `dev` or `validation`."""
    other = {"dev": "validation", "validation": "dev"}.get(split)
    return (split, other) if other else (split,)


def find_parquet(root: Path, config: str, split: str) -> list[Path]:
    """Parquet files of a configuration as the Hub lays them out.

    `<config>/<split>-00000-of-00002.parquet` (the repository), or `<config>/<split>/0000.parquet` (its branch
    `refs/convert/parquet`), at the top or below `data/` or `parquet-data/`.
    """
    for parent in (root, root / "data", root / "parquet-data"):
        for name in split_spellings(split):
            folder = parent / config
            found = sorted(folder.glob(f"{name}-*.parquet")) or sorted((folder / name).glob("*.parquet"))
            if found:
                return found
    return []
