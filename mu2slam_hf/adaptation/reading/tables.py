# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tolerant reading of tables: each bad row is reported with file and line, the rest is used."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mu2slam_hf.adaptation.reading.folder_files import session_of_file, speaker_of_file, split_of_name
from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.adaptation.reading.read_data import ReadData, session_extra
from mu2slam_hf.adaptation.reading.text_files import TextFileError, find_encoding, read_text_file
from mu2slam_hf.data.audio import AudioSlice, audio_path
from mu2slam_hf.data.corpora.reader import canonical_language_or_none
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.manifests import (
    COLUMN_CANDIDATES,
    ManifestColumns,
    placed_records,
    usual_columns,
)
from mu2slam_hf.data.records import SpeechTextRecord, named_language
from mu2slam_hf.data.shard_files import manifest_rows
from mu2slam_hf.data.table_files import ManifestError, UnreadableFileError, table_format, table_rows

_OWN_COLUMNS = {
    "session": ("session", "session_id", "recording_session"),
    "split": ("split", "set", "subset"),
}


class TableError(ValueError):
    """A table that is no manifest, or cannot be read at all; the message starts with the file."""


class TableColumnError(TableError):
    """A table in which a column is missing; the message lists those that it has."""


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
    options = data.options
    encoding = _find_encoding(path, options.encoding)
    names = _column_names(path, encoding)
    columns = _find_columns(path, names, options)
    _list_unused(path, names, columns, data)
    has_text, has_lang = (any(name in names for name in usual_columns(role, columns)) for role in ("text", "lang"))
    if not has_text:
        data.report("no_text_column", path, f"its columns are {', '.join(names)}")
    text_columns = [*usual_columns("text", columns), *columns.text_by_lang.values()]
    file_split = split_of_name(path.name.split(".")[0]) if with_file_split else None
    named: set[str] = set()
    part = Part()
    records = placed_records(
        table_rows(path, part=part, encoding=encoding),
        columns=columns,
        lang=None if has_lang else options.lang,
        corpus=data.corpus,
        root=path.parent,
        name_row=lambda: f"{path.name}-{part.position.row}",
    )
    try:
        for place, row, record in records:
            if isinstance(record, ManifestError):
                data.report_unreadable(record, "broken_row")
                continue
            file = audio_path(record.audio)
            if file is not None:
                if "\0" in file:
                    data.report("broken_row", place, "the name of the recording has a character that no file has")
                    continue
                named.add(os.path.abspath(file))
            for name in text_columns:
                if isinstance(row.get(name), str):
                    data.cleaner.count(row[name], place)
            if record.lang != options.lang:
                data.report("other_language", place, f"the row is in {record.lang}, not in {options.lang}")
                continue
            if record.text is None and not record.translations and has_text:
                data.report("empty_text", place, f"there is no text for {Path(str(file)).name}", record.key)
            try:
                completed = _complete(record, row, data, audio_root, file_split)
                data.add(completed, place, speaker_is_named=record.speaker is not None)
            except ValueError as error:
                data.report("broken_row", place, str(error))
    except UnreadableFileError as error:
        data.report_unreadable(error)
    return named


def read_texts_alone(path: Path, data: ReadData) -> None:
    """Add the texts of a table or a file of sentences (see `manifest_rows`) as records without recordings.

    Texts whose language is not stated are in the spoken one. Those in a language to translate into have no
    translations: the model translates from the spoken language only.

    Args:
        path: the file.
        data: records and findings are added to it.

    Raises:
        TableError: there is no such file, it has no rows, or none of its columns has texts.
    """
    options = data.options
    if not path.is_file():
        raise TableError(f"{path}: no such file; expected sentences, one a line, such as texts.txt or texts.en")
    encoding = _find_encoding(path, options.encoding)
    names = _column_names(path, encoding)
    has_lang = any(name in names for name in usual_columns("lang"))
    part = Part()
    records = placed_records(
        manifest_rows(path, part=part, encoding=encoding),
        columns=None,
        lang=None if has_lang else options.lang,
        corpus=f"{data.corpus}_text_{options.texts.index(str(path)) + 1}",
        root=path.parent,
        name_row=lambda: f"{path.name}-{part.position.row}",
    )
    for place, _, record in records:
        if isinstance(record, ManifestError):
            data.report_unreadable(record, "broken_row")
        elif record.lang not in (options.lang, *options.target_langs):
            data.report("other_language", place, f"the text is in {record.lang}, not in {options.lang}")
        else:
            translations = record.translations if record.lang == options.lang else {}
            alone = replace(record, audio=None, duration_seconds=None, speaker=None, translations=translations)
            data.add(alone, place, speaker_is_named=False)


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
    """Names of the columns of the first readable row of a table or a file of sentences.

    Raises:
        TableError: there is none.
    """
    fault = f"{path}: has no rows"
    try:
        for place, row in manifest_rows(path, encoding=encoding):
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
    existing = f"its columns are {', '.join(names)}"
    for role, name in options.columns.items():
        if name not in names:
            raise TableColumnError(f"{path}: has no column {name!r} (for {role}); {existing}")
    roles = {"start": "start_seconds", "end": "end_seconds"}
    chosen = {roles.get(role, role): name for role, name in options.columns.items()}
    known = {item.name for item in fields(ManifestColumns)}
    columns = ManifestColumns(
        **{role: name for role, name in chosen.items() if role in known}, text_by_lang=options.text_columns
    )
    if not any(name in names for name in usual_columns("audio", columns)):
        hint = ""
        if names[0].startswith('"'):
            hint = "; quotes are ordinary characters in a table with tabs: save it without quotes, or as .csv"
        raise TableColumnError(f"{path}: has no column with the recordings, such as audio; {existing}{hint}")
    if not any(name in names for name in usual_columns("text", columns)):
        own = (name for name in names if name.startswith("text_"))
        own = (name for name in own if canonical_language_or_none(name.removeprefix("text_")) == options.lang)
        columns = replace(columns, text=next(own, None))
    return columns


def _list_unused(path: Path, names: list[str], columns: ManifestColumns, data: ReadData) -> None:
    """Add the columns that are not used to the choices, with the option that uses them."""
    options = data.options
    used = {name for role in COLUMN_CANDIDATES for name in usual_columns(role, columns)}
    used |= {*options.columns.values(), *(name for usual in _OWN_COLUMNS.values() for name in usual)}
    if not columns.text_by_lang:
        used |= {name for name in names if name.startswith("text_") and named_language(name.removeprefix("text_"))}
    others: list[str] = []
    for name in filter(None, names):
        if name in used:
            continue
        codes = list(filter(None, map(named_language, (name, *re.split(r"[\W_]+", name)))))
        code = next((code for code in codes if code in (options.lang, *options.target_langs)), named_language(name))
        if code is None:
            others.append(name)
        else:
            option = shlex.quote(f"text={name}" if code == options.lang else f"text_{code}={name}")
            data.choices[f"{path.name}: column {name} is not used (--column {option} uses it)"] += 1
    if others:
        verb = "column {} is" if len(others) == 1 else "columns {} are"
        data.choices[f"{path.name}: {verb.format(', '.join(others))} not used (--column KIND=NAME uses one)"] += 1


def _complete(
    record: SpeechTextRecord, row: Mapping[str, Any], data: ReadData, audio_root: Path, file_split: str | None
) -> SpeechTextRecord:
    """A record of a row with session, split and speaker.

    Raises:
        ValueError: an unknown split.
    """
    more, cells = dict(record.extra), {}
    for role, usual in _OWN_COLUMNS.items():
        candidates = (data.options.columns[role],) if role in data.options.columns else usual
        name = next((name for name in candidates if name in row or name in more), "")
        cells[role] = row.get(name)
        more.pop(name, None)
    split = file_split
    if cells["split"] not in (None, ""):
        split = split_of_name(str(cells["split"]))
        if split is None:
            raise ValueError(f"the split must be train, dev or test, got {cells['split']!r}")
    session = speaker = None
    file = audio_path(record.audio)
    if file is not None:
        path = Path(file)
        relative = path.relative_to(audio_root) if path.is_relative_to(audio_root) else Path(path.name)
        stem = normalize("NFC", relative.with_suffix("").as_posix())
        session = stem if isinstance(record.audio, AudioSlice) else session_of_file(stem, data.corpus)
        speaker = speaker_of_file(stem, data.options.speaker_from)
    # Other columns may have any name, also one of these.
    extra = {**more, **session_extra(str(cells["session"] or session or data.corpus), split)}
    return replace(record, speaker=record.speaker or speaker, extra=extra)
