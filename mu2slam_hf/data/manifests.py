# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Manifests (TSV, CSV, JSONL, Parquet) and Hugging Face data sets, read into validated records."""

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mu2slam_hf.data.records import RecordError, SpeechTextRecord, cached_canonical_language
from mu2slam_hf.data.text import clean_text
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES, canonical_language

if TYPE_CHECKING:
    import datasets

_CANDIDATES: dict[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id"),
    "audio": ("audio", "path", "file", "file_name", "audio_path", "wav"),
    "text": ("text", "sentence", "transcription", "transcript"),
    "lang": ("lang", "locale", "language", "lang_id"),
    "translations": ("translations",),
    "duration_seconds": ("duration_s", "duration_seconds", "duration"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "kind": ("kind", "category"),
}
MANIFEST_SUFFIXES = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet"}


class ManifestError(RecordError):
    """A manifest that cannot be read; the message names the file, the line and the id where there is one."""


@dataclass(frozen=True, kw_only=True)
class ManifestColumns:
    """Which column holds what. None takes the first usual name that the manifest has.

    Attributes:
        id: default: `id`, `utt_id`; without one, the line number.
        audio: default: `audio`, `path`, `file`.
        text: default: `text`, `sentence`, `transcription`.
        lang: default: `lang`, `locale`, `language`.
        translations: one column with a JSON object language -> text; default: `translations`.
        text_by_lang: language -> column with its text; columns named `text_<language>` need not be listed when
            the language has a name in `LANGUAGE_NAMES`.
        duration_seconds: default: `duration_s`, `duration_seconds`, `duration`.
        speaker: default: `speaker`, `speaker_id`, `client_id`.
        kind: default: `kind`, `category`.
    """

    id: str | None = None
    audio: str | None = None
    text: str | None = None
    lang: str | None = None
    translations: str | None = None
    text_by_lang: Mapping[str, str] = field(default_factory=dict)
    duration_seconds: str | None = None
    speaker: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class DatasetAudio:
    """Audio of one row of a Hugging Face data set, read from it only when it is needed."""

    dataset: Any
    index: int
    column: str

    def read_audio(self) -> Any:
        """The undecoded cell: a mapping with `bytes` and `path`."""
        return self.dataset[self.index][self.column]


def read_manifest(
    path: str | os.PathLike[str],
    *,
    columns: ManifestColumns | None = None,
    lang: str | None = None,
    corpus: str | None = None,
    audio_root: str | os.PathLike[str] | None = None,
    file_format: str | None = None,
) -> list[SpeechTextRecord]:
    """Read a manifest into records, all of them validated.

    TSV is read without quoting, CSV with the usual quoting, JSONL one object per line; all UTF-8, with column names.

    Args:
        path: the manifest.
        columns: which column holds what; default: the usual names.
        lang: language of all rows, where the manifest has no such column.
        corpus: name given to the records; default: the name of the manifest's folder.
        audio_root: what relative audio paths start from; default: the folder of the manifest.
        file_format: tsv, csv, jsonl or parquet; default: by the ending of the name.

    Raises:
        ManifestError: with `file:line` and the id of the row.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest" + (" (it is a folder)" if path.is_dir() else ""))
    file_format = file_format or MANIFEST_SUFFIXES.get(path.suffix.lower(), "")
    if file_format not in MANIFEST_SUFFIXES.values():
        raise ManifestError(f"{path}: unknown format; name it .tsv, .csv, .jsonl or .parquet, or give `file_format`")
    root = Path(audio_root) if audio_root is not None else path.parent
    corpus = corpus if corpus is not None else path.resolve().parent.name
    rows = list(_rows(path, file_format))
    if not rows:
        raise ManifestError(f"{path}: has no rows")
    reader = RowReader(columns, lang, corpus, root, names=_all_names(rows, file_format), place=str(path))
    records: list[SpeechTextRecord] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        record = reader.record(row, f"{path}:{line}", str(line))
        if record.key in seen:
            raise ManifestError(
                f"{path}:{line}: id {record.id!r} ({record.lang}) was already in line {seen[record.key]}"
            )
        seen[record.key] = line
        records.append(record)
    return records


def read_dataset(
    dataset: "datasets.Dataset | datasets.IterableDataset",
    *,
    columns: ManifestColumns | None = None,
    lang: str | None = None,
    corpus: str = "dataset",
) -> Iterator[SpeechTextRecord]:
    """Records of a Hugging Face data set, in its order; its audio is not decoded by `datasets`.

    A `Dataset` is read lazily (a record holds a reference to its row), a stream carries the bytes in the record.

    Args:
        dataset: with columns as in a manifest; a column of type `Audio` is cast to `Audio(decode=False)`.
        columns: which column holds what; default: the usual names.
        lang: language of all rows, where there is no such column.
        corpus: name given to the records.
    """
    import datasets

    names = list(dataset.column_names or next(iter(dataset), {}))
    dataset = keep_audio_encoded(dataset)
    lazy = isinstance(dataset, datasets.Dataset)
    rows: Iterable[Any] = dataset
    if not names:
        raise ManifestError(f"{corpus}: the data set has no rows")
    reader = RowReader(columns, lang, corpus, Path("."), names=names, place=corpus)
    audio_column = reader.names["audio"]
    if lazy and audio_column is not None:
        rows = cast("datasets.Dataset", dataset).remove_columns([audio_column])
    for index, row in enumerate(rows):
        if lazy and audio_column is not None:
            row = {**row, audio_column: DatasetAudio(dataset, index, audio_column)}
        yield reader.record(row, f"{corpus}, row {index}", str(index))


def keep_audio_encoded(
    dataset: "datasets.Dataset | datasets.IterableDataset",
) -> "datasets.Dataset | datasets.IterableDataset":
    """The data set with its audio as bytes or paths: `datasets` decodes by a package that need not be there."""
    import datasets

    for name, kind in (dataset.features or {}).items():
        if isinstance(kind, datasets.Audio):
            dataset = dataset.cast_column(name, datasets.Audio(decode=False))
    return dataset


class RowReader:
    """Turns rows into records; knows which column holds what.

    Args:
        columns: which column holds what; default: the usual names.
        lang: language of all rows, where there is no such column.
        corpus: name given to the records.
        root: what relative audio paths start from.
        names: all columns.
        place: the file, for errors.

    Raises:
        ManifestError: there is no column for the language, or none for audio and text.
    """

    def __init__(
        self,
        columns: ManifestColumns | None,
        lang: str | None,
        corpus: str,
        root: Path,
        *,
        names: Sequence[str],
        place: str,
    ) -> None:
        columns = columns or ManifestColumns()
        self.lang, self.corpus, self.root = lang, corpus, root
        self.names: dict[str, str | None] = {}
        for role, usual in _CANDIDATES.items():
            wanted = getattr(columns, role)
            if wanted is not None and wanted not in names:
                raise ManifestError(f"{place}: no column {wanted!r} for `{role}`; there are {', '.join(names)}")
            self.names[role] = wanted or next((name for name in usual if name in names), None)
        if self.names["lang"] is None and lang is None:
            raise ManifestError(
                f"{place}: no column for the language ({', '.join(names)}); give `lang` or map a column"
            )
        if self.names["audio"] is None and self.names["text"] is None:
            raise ManifestError(f"{place}: neither audio nor text among the columns {', '.join(names)}; map them")
        self.text_by_lang = _text_columns(columns, names, self.names, place)
        used = {*self.names.values(), *self.text_by_lang.values()}
        self.extra = [name for name in names if name not in used]

    def record(self, row: Mapping[str, Any], place: str, default_id: str) -> SpeechTextRecord:
        """The validated record of one row; `place` (`file:line`) and the id lead every error."""
        record_id = str(self._cell(row, "id") or default_id)
        place = f"{place} (id {record_id})"
        try:
            lang = cached_canonical_language(str(self.lang or self._cell(row, "lang") or ""))
            return SpeechTextRecord(
                id=record_id,
                audio=self._audio(row),
                text=_optional_text(self._cell(row, "text"), "text"),
                lang=lang,
                translations=self._translations(row, lang),
                duration_seconds=_optional_seconds(self._cell(row, "duration_seconds")),
                speaker=_optional_string(self._cell(row, "speaker")),
                corpus=self.corpus,
                kind=_optional_string(self._cell(row, "kind")),
                extra={name: row.get(name) for name in self.extra},
            ).validate()
        except ValueError as error:
            raise ManifestError(f"{place}: {error}") from error

    def _cell(self, row: Mapping[str, Any], role: str) -> Any:
        name = self.names[role]
        value = row.get(name) if name is not None else None
        return None if isinstance(value, float) and math.isnan(value) else value

    def _audio(self, row: Mapping[str, Any]) -> Any:
        value = self._cell(row, "audio")
        if isinstance(value, str):
            return str(self.root / value) if value.strip() else None
        return value

    def _translations(self, row: Mapping[str, Any], lang: str) -> dict[str, str]:
        given = self._cell(row, "translations") or {}
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except json.JSONDecodeError as error:
                raise ValueError(f"`translations` is not JSON ({error})") from error
        if not isinstance(given, Mapping):
            raise ValueError(f"`translations` must be an object language -> text, got {type(given).__name__}")
        pairs = [*given.items(), *((code, row.get(column)) for code, column in self.text_by_lang.items())]
        translations: dict[str, str] = {}
        for code, value in pairs:
            text = _optional_text(value, f"translations[{code}]")
            code = cached_canonical_language(code)
            # The own language may be among the columns; a code given twice under two spellings keeps the first text.
            if text is not None and code != lang:
                translations.setdefault(code, text)
        return translations


def _text_columns(
    columns: ManifestColumns, names: Sequence[str], taken: Mapping[str, str | None], place: str
) -> dict[str, str]:
    found: dict[str, str] = {}
    for code, name in columns.text_by_lang.items():
        if name not in names:
            raise ManifestError(f"{place}: no column {name!r} for the texts in {code!r}; there are {', '.join(names)}")
        found[canonical_language(code)] = name
    if columns.text_by_lang:
        return found
    for name in names:
        if name.startswith("text_") and name not in taken.values():
            lang = _known_language(name.removeprefix("text_"))
            if lang is not None:
                found.setdefault(lang, name)
    return found


def _known_language(code: str) -> str | None:
    """The canonical code of a language with a name; None for `norm` or `raw`, which only look like codes."""
    try:
        canonical = canonical_language(code)
    except ValueError:
        return None
    return canonical if canonical.split("-")[0] in LANGUAGE_NAMES else None


def _rows(path: Path, file_format: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of every row; Parquet counts rows from 1."""
    if file_format == "parquet":
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, ValueError) as error:
            raise ManifestError(f"{path}: not readable as Parquet ({error})") from error
        yield from enumerate(table.to_pylist(), start=1)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="" if file_format == "csv" else "\n") as file:
            yield from _json_rows(path, file) if file_format == "jsonl" else _table_rows(path, file, file_format)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 ({error.reason} at byte {error.start} of a block)") from error


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path}:{number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise ManifestError(f"{path}:{number}: expected an object with columns, got {type(row).__name__}")
        yield number, row


def _table_rows(path: Path, lines: Iterable[str], file_format: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if file_format == "tsv":
        # Not by the csv module: a stray quote or carriage return must not join lines.
        parsed: Iterator[tuple[int, list[str]]] = (
            (number, line.rstrip("\r\n").split("\t"))
            for number, line in enumerate(lines, start=1)
            if line.strip("\r\n")
        )
    else:
        parsed = _csv_lines(path, lines)
    number, header = next(parsed, (0, []))
    if len(set(header)) != len(header):
        raise ManifestError(f"{path}:{number}: a column name occurs twice in {header}")
    for number, cells in parsed:
        if len(cells) != len(header):
            first = cells[0] if cells else ""
            raise ManifestError(
                f"{path}:{number}: {len(cells)} cells, the header has {len(header)} (starts {first!r})"
            )
        yield number, dict(zip(header, cells, strict=True))


def _csv_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ManifestError(f"{path}:{reader.line_num}: {error}") from error


def _all_names(rows: Sequence[tuple[int, Mapping[str, Any]]], file_format: str) -> list[str]:
    """Names of all columns; rows of JSONL may each have others."""
    if file_format != "jsonl":
        return list(rows[0][1])
    return list(dict.fromkeys(name for _, row in rows for name in row))


def _optional_text(value: Any, name: str) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string, got {type(value).__name__} {value!r}")
    return clean_text(value) or None


def _optional_string(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _optional_seconds(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the duration must be a number of seconds, got {value!r}") from error
