# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tolerant reading of tables: each bad row is reported with file and line, the rest is used."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mu2slam_hf.adaptation.options import ReadingOptions
from mu2slam_hf.adaptation.read_data import ReadData, session_extra
from mu2slam_hf.adaptation.speakers import session_of_file, speaker_of_file, split_of_name
from mu2slam_hf.adaptation.text_files import TextFileError, find_encoding, read_text_file
from mu2slam_hf.data.audio import AudioSlice, audio_path
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.reader import canonical_language_or_none
from mu2slam_hf.data.file_parts import WHOLE, Part
from mu2slam_hf.data.manifests import ManifestColumns, usual_columns
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, UnreadableFileError, table_format, table_rows

_OWN_COLUMNS = {
    "session": ("session", "session_id", "recording_session"),
    "split": ("split", "set", "subset"),
}


class TableError(ValueError):
    """A table that is no manifest, or cannot be read at all; the message starts with the file."""


class TableColumnError(TableError):
    """A table in which a column is missing; the message lists those that it has."""


@dataclass(kw_only=True)
class _RowFaults:
    """Collects the faults of rows from `ManifestShardReader`."""

    data: ReadData

    def add(self, reason: str | None) -> None:
        """Report a fault: `file:line: reason` or `file:line (id ...): reason`."""
        if reason is not None:
            place, _, message = reason.partition(": ")
            self.data.report("broken_row", place, message)


@dataclass(frozen=True, kw_only=True)
class _PlacedRowReader(ManifestShardReader):
    """Reads a manifest and remembers the row of the latest record.

    Attributes:
        encoding: see `table_rows`.
        latest: place and row of the latest record.
    """

    encoding: str | None = None
    latest: dict[str, Any] = field(default_factory=dict)

    def rows(self, path: Path, columns: Collection[str] | None = None, part: Part = WHOLE) -> Iterator[PlacedRow]:
        """Rows of a file, each remembered while it is used."""
        for place, row in table_rows(path, columns=columns, part=part, encoding=self.encoding):
            self.latest.update(place=place, row=row)
            yield place, row


def read_table(path: Path, data: ReadData, *, audio_root: Path, with_file_split: bool = True) -> set[str]:
    """Add the records of a manifest.

    Besides the columns of every manifest, `session` and `split` (train, dev or test) are understood.

    Args:
        path: a table.
        data: records and findings are added to it.
        audio_root: folder that paths of speakers and sessions are relative to.
        with_file_split: whether a table called dev or test holds that split.

    Returns:
        absolute paths of the recordings that the table names.

    Raises:
        TableError: no row can be read, or no column has the recordings.
    """
    encoding = _find_encoding(path, data.options.encoding)
    names = _column_names(path, encoding)
    columns = _find_columns(path, names, data.options)
    has_text = any(name in names for name in usual_columns("text", columns))
    if not has_text:
        data.report("no_text_column", path, f"its columns are {', '.join(names)}")
    has_lang = any(name in names for name in usual_columns("lang", columns))
    reader = _PlacedRowReader(
        columns=columns,
        lang=None if has_lang else data.options.lang,
        corpus=data.corpus,
        failures=_RowFaults(data=data),
        encoding=encoding,
    )
    own = {role: _own_column(role, names, data.options) for role in _OWN_COLUMNS}
    text_columns = [*usual_columns("text", columns), *columns.text_by_lang.values()]
    named: set[str] = set()
    file_split = split_of_name(path.name.split(".")[0]) if with_file_split else None
    try:
        for record in reader(path):
            place, row = reader.latest["place"], reader.latest["row"]
            path_of_audio = audio_path(record.audio)
            if path_of_audio is not None:
                if "\0" in path_of_audio:
                    data.report("broken_row", place, "the name of the recording has a character that no file has")
                    continue
                named.add(os.path.abspath(path_of_audio))
            for name in text_columns:
                if isinstance(row.get(name), str):
                    data.cleaner.count(row[name], place)
            if record.lang != data.options.lang:
                data.report("other_language", place, f"the row is in {record.lang}, not in {data.options.lang}")
                continue
            if record.text is None and not record.translations and has_text:
                data.report("empty_text", place, f"there is no text for {Path(str(path_of_audio)).name}", record.key)
            try:
                completed = _complete(record, row, own, data, audio_root, file_split)
                data.add(completed, place, speaker_is_told=record.speaker is not None)
            except ValueError as error:
                data.report("broken_row", place, str(error))
    except UnreadableFileError as error:
        data.report_unreadable(error)
    return named


def _find_encoding(path: Path, given: str | None) -> str | None:
    """Encoding of a table of text; None for UTF-8, and for Parquet and compressed tables.

    Raises:
        TableError: the table is in another encoding.
    """
    if table_format(path) == "parquet" or path.suffix.lower() == ".gz":
        return None
    try:
        read_text_file(path, given)
    except TextFileError as error:
        raise TableError(str(error)) from error
    with path.open("rb") as file:
        return find_encoding(file.read(3), given)


def _column_names(path: Path, encoding: str | None) -> list[str]:
    """Names of the columns of the first readable row.

    Raises:
        TableError: there is none.
    """
    fault = f"{path}: has no rows"
    try:
        for place, row in table_rows(path, encoding=encoding):
            if not isinstance(row, ManifestError):
                return list(row)
            fault = f"{place}: {row}"
    except UnreadableFileError as error:
        fault = str(error)
    raise TableError(fault)


def _find_columns(path: Path, names: list[str], options: ReadingOptions) -> ManifestColumns:
    """The columns of a table; its transcript may also be in `text_<language>`.

    Raises:
        TableColumnError: a column that the options name is missing, or none has the recordings.
    """
    there = f"its columns are {', '.join(names)}"
    columns = options.manifest_columns()
    for role, name in options.columns.items():
        if name not in names:
            raise TableColumnError(f"{path}: has no column {name!r} (for {role}); {there}")
    if not any(name in names for name in usual_columns("audio", columns)):
        hint = ""
        if ";" in names[0]:
            hint = "; it seems to be separated by semicolons: save it with commas or tabs"
        elif names[0].startswith('"'):
            hint = "; quotes are ordinary characters in a table with tabs: save it without quotes, or as .csv"
        raise TableColumnError(f"{path}: has no column with the recordings, such as audio; {there}{hint}")
    if not any(name in names for name in usual_columns("text", columns)):
        tags = {name: name.removeprefix("text_") for name in names if name.startswith("text_")}
        own = [name for name, tag in tags.items() if canonical_language_or_none(tag) == options.lang]
        columns = replace(columns, text=own[0]) if own else columns
    return columns


def _own_column(role: str, names: list[str], options: ReadingOptions) -> str | None:
    candidates = (options.columns[role],) if role in options.columns else _OWN_COLUMNS[role]
    return next((name for name in candidates if name in names), None)


def _complete(
    record: SpeechTextRecord,
    row: Row,
    own: Mapping[str, str | None],
    data: ReadData,
    audio_root: Path,
    file_split: str | None,
) -> SpeechTextRecord:
    """A record of a row with session, split and speaker.

    Raises:
        ValueError: an unknown split.
    """
    cells = {role: row.get(name) if name is not None else None for role, name in own.items()}
    session = None
    split = file_split
    if cells["split"] not in (None, ""):
        split = split_of_name(str(cells["split"]))
        if split is None:
            raise ValueError(f"the split must be train, dev or test, got {cells['split']!r}")
    stem = _relative_stem(record.audio, audio_root)
    if stem is not None:
        session = stem if isinstance(record.audio, AudioSlice) else session_of_file(stem, data.corpus)
    session = str(cells["session"] or session or data.corpus)
    speaker = record.speaker or (speaker_of_file(stem, data.options.speaker_from) if stem else None)
    extra = session_extra(session, split, **{k: v for k, v in record.extra.items() if k not in own.values()})
    return replace(record, speaker=speaker, extra=extra)


def _relative_stem(audio: Any, root: Path) -> str | None:
    name = audio_path(audio)
    if name is None:
        return None
    path = Path(name)
    relative = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return normalize("NFC", relative.with_suffix("").as_posix())
