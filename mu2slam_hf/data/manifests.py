# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Manifests (TSV, CSV, JSONL, Parquet) and other rows, read into validated records; records written as JSONL."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.data.audio import AudioSlice, audio_path
from mu2slam_hf.data.records import SpeechTextRecord, cached_canonical_language, named_language
from mu2slam_hf.data.shard_files import manifest_rows
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, table_format
from mu2slam_hf.data.text import clean_text
from mu2slam_hf.models.language_codes import canonical_language

COLUMN_CANDIDATES: dict[str, tuple[str, ...]] = {
    "id": ("id", "utt_id", "utterance_id"),
    "audio": ("audio", "path", "file", "file_name", "audio_path", "wav"),
    "text": ("text", "sentence", "transcription", "transcript"),
    "lang": ("lang", "locale", "language", "lang_id"),
    "translations": ("translations",),
    "duration_seconds": ("duration_s", "duration_seconds", "duration"),
    "start_seconds": ("start", "start_s", "start_seconds", "start_time", "begin"),
    "end_seconds": ("end", "end_s", "end_seconds", "end_time", "stop"),
    "speaker": ("speaker", "speaker_id", "client_id"),
    "kind": ("kind", "category"),
}
"""Role of a column (a field of `ManifestColumns`) -> its usual names, the preferred one first."""


@dataclass(frozen=True, kw_only=True)
class ManifestColumns:
    """Names of columns. None selects the first of the default names that the manifest has.

    Attributes:
        id: default: `id`, `utt_id`; without one, the line number.
        audio: default: `audio`, `path`, `file`.
        text: default: `text`, `sentence`, `transcription`.
        lang: default: `lang`, `locale`, `language`.
        translations: one column with a JSON object language -> text; default: `translations`.
        text_by_lang: language -> column with its text; columns named `text_<language>` need not be listed if
            the language is in `LANGUAGE_NAMES`.
        duration_seconds: default: `duration_s`, `duration_seconds`, `duration`.
        start_seconds, end_seconds: part of a longer recording; default: `start` and `end`, `start_s` and `end_s`, ...
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
    start_seconds: str | None = None
    end_seconds: str | None = None
    speaker: str | None = None
    kind: str | None = None


def read_manifest(
    path: str | os.PathLike[str],
    *,
    columns: ManifestColumns | None = None,
    lang: str | None = None,
    corpus: str | None = None,
    audio_root: str | os.PathLike[str] | None = None,
    file_format: str | None = None,
) -> list[SpeechTextRecord]:
    """Read a manifest into validated records.

    TSV is read without quoting, CSV with the usual quoting and commas, semicolons or tabs, JSONL one object per line;
    all UTF-8, with column names. Times may have a decimal comma. Files of sentences are read too, see `manifest_rows`.

    Args:
        path: the manifest; all formats except Parquet may be compressed by gzip (`.gz`).
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if the manifest has no such column.
        corpus: corpus name of the records; default: the name of the manifest's folder.
        audio_root: folder that audio paths are relative to; default: the folder of the manifest.
        file_format: tsv, csv, jsonl or parquet; default: by the extension.

    Raises:
        ManifestError: invalid file or row; the message has `file:line` and the id of the row.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest" + (" (it is a folder)" if path.is_dir() else ""))
    root = Path(audio_root) if audio_root is not None else path.parent
    corpus = corpus if corpus is not None else path.resolve().parent.name
    rows: list[tuple[str, Row]] = []
    for place, row in manifest_rows(path, file_format):
        if isinstance(row, ManifestError):
            raise ManifestError(f"{place}: {row}")
        rows.append((place, row))
    if not rows:
        raise ManifestError(f"{path}: has no rows")
    # Rows of JSONL may have different columns.
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    reader = RowReader(columns, lang, corpus, root, names=names, place=str(path))
    records: list[SpeechTextRecord] = []
    seen: dict[str, str] = {}
    for place, row in rows:
        line = place[len(place.rstrip("0123456789")) :]
        record = reader.record(row, place, line)
        if record.key in seen:
            raise ManifestError(f"{place}: id {record.id!r} ({record.lang}) is a duplicate of line {seen[record.key]}")
        seen[record.key] = line
        records.append(record)
    return records


def read_texts(files: Sequence[str]) -> Iterator[str]:
    """Texts of text files and manifests, including translations; each distinct text of a manifest once.

    Raises:
        ValueError: a file of sentences is not valid UTF-8.
    """
    for file in files:
        if table_format(Path(file)) is not None:
            texts: dict[str, None] = {}
            for record in read_manifest(file):
                texts |= dict.fromkeys([*([record.text] if record.text else []), *record.translations.values()])
            yield from texts
            continue
        try:
            with open(file, encoding="utf-8-sig") as lines:
                yield from filter(None, map(clean_text, lines))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file}: not valid UTF-8 ({error.reason}); expected texts, one sentence per line, in UTF-8"
            ) from error


def placed_records(
    rows: Iterable[PlacedRow],
    *,
    columns: ManifestColumns | None,
    lang: str | None,
    corpus: str,
    root: Path,
    name_row: Callable[[], str],
    language: str | None = None,
) -> Iterator[tuple[str, Row, SpeechTextRecord | ManifestError]]:
    """Place, row and record of each row, one at a time; an error in place of the record of an invalid row.

    Args:
        rows: from `manifest_rows`; rows of JSONL may have new columns.
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if there is no such column.
        corpus: corpus name of the records.
        root: folder that audio paths are relative to.
        name_row: gives the id of the current row, if it has none of its own.
        language: language of the rows to read; None for all.
    """
    reader: RowReader | None = None
    for place, row in rows:
        if isinstance(row, ManifestError):
            yield place, {}, ManifestError(f"{place}: {row}")
            continue
        try:
            known = [] if reader is None else reader.columns
            new = [name for name in row if name not in known]
            if reader is None or new:
                reader = RowReader(columns, lang, corpus, root, names=[*known, *new], place=place)
            if language is None or reader.may_be_of(row, language):
                yield place, row, reader.record(row, place, name_row())
        except ManifestError as error:
            yield place, row, error


def record_row(record: SpeechTextRecord) -> dict[str, Any]:
    """A record as a row for JSON, without `kind` and `extra`; times in milliseconds' precision."""
    is_part = isinstance(record.audio, AudioSlice)
    times = {name: round(getattr(record.audio, name), 3) for name in ("start_seconds", "end_seconds") if is_part}
    return {
        "key": record.key,
        "audio": audio_path(record.audio),
        **times,
        "duration_seconds": None if record.duration_seconds is None else round(record.duration_seconds, 3),
        "lang": record.lang,
        "text": record.text,
        "translations": dict(record.translations),
        "speaker": record.speaker,
    }


def write_manifest(records: Iterable[SpeechTextRecord], path: str | os.PathLike[str]) -> None:
    """Write records as JSONL with absolute paths, for `read_manifest`; their keys become their ids.

    Args:
        records: with audio in files, or with texts only.
        path: file to write; an existing one is replaced.
    """
    names = {"key": "id", "duration_seconds": "duration_s"}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for record in records:
            row = {names.get(name, name): value for name, value in record_row(record).items()}
            row["audio"] = row["audio"] and os.path.abspath(row["audio"])
            kept = {name: value for name, value in row.items() if value is not None and value != {}}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")


def usual_columns(role: str, columns: ManifestColumns | None = None) -> tuple[str, ...]:
    """Names of the column for a role (a field of `ManifestColumns`): the configured one, else the usual ones."""
    chosen = getattr(columns, role, None)
    return COLUMN_CANDIDATES[role] if chosen is None else (chosen,)


class RowReader:
    """Converts rows to records.

    Args:
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if there is no such column.
        corpus: corpus name of the records.
        root: folder that audio paths are relative to.
        names: names of all columns.
        place: the file, for error messages.

    Raises:
        ManifestError: no column for the language, or no column for audio or text.
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
        self.lang, self.corpus, self.root, self.columns = lang, corpus, root, names
        self.names: dict[str, str | None] = {}
        for role in COLUMN_CANDIDATES:
            wanted = getattr(columns, role)
            if wanted is not None and wanted not in names:
                raise ManifestError(f"{place}: no column {wanted!r} for `{role}`; the columns are {', '.join(names)}")
            self.names[role] = next((name for name in usual_columns(role, columns) if name in names), None)
        if self.names["lang"] is None and lang is None:
            raise ManifestError(f"{place}: no column for the language ({', '.join(names)}); set `lang` or `columns`")
        if self.names["audio"] is None and self.names["text"] is None:
            raise ManifestError(f"{place}: neither audio nor text among the columns {', '.join(names)}; set `columns`")
        self.text_by_lang = _text_columns(columns, names, self.names, place)
        used = {*self.names.values(), *self.text_by_lang.values()}
        self.extra = [name for name in names if name not in used]

    def record(self, row: Mapping[str, Any], place: str, default_id: str) -> SpeechTextRecord:
        """The validated record of one row; every error starts with `place` (`file:line`) and the id."""
        record_id = str(self._cell(row, "id") or default_id)
        place = f"{place} (id {record_id})"
        try:
            lang = self._language_of(row)
            audio = self._audio(row)
            is_part = isinstance(audio, AudioSlice)
            return SpeechTextRecord(
                id=record_id,
                audio=audio,
                text=_optional_text(self._cell(row, "text"), "text"),
                lang=lang,
                translations=self._translations(row, lang),
                duration_seconds=audio.duration_seconds if is_part else self._seconds(row, "duration_seconds"),
                speaker=_optional_string(self._cell(row, "speaker")),
                corpus=self.corpus,
                kind=_optional_string(self._cell(row, "kind")),
                extra={name: row.get(name) for name in self.extra},
            ).validate()
        except ValueError as error:
            raise ManifestError(f"{place}: {error}") from error

    def may_be_of(self, row: Mapping[str, Any], language: str) -> bool:
        """Whether a row has this language, or an invalid one, for which `record` raises the error."""
        try:
            return self._language_of(row) == language
        except ValueError:
            return True

    def _language_of(self, row: Mapping[str, Any]) -> str:
        return cached_canonical_language(str(self.lang or self._cell(row, "lang") or ""))

    def _cell(self, row: Mapping[str, Any], role: str) -> Any:
        name = self.names[role]
        value = row.get(name) if name is not None else None
        return None if isinstance(value, float) and math.isnan(value) else value

    def _audio(self, row: Mapping[str, Any]) -> Any:
        value = self._cell(row, "audio")
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        path = str(self.root / value)
        start, end = self._seconds(row, "start_seconds"), self._seconds(row, "end_seconds")
        if start is None and end is None:
            return path
        if start is None or end is None or not 0 <= start < end < math.inf:
            raise ValueError(f"expected a start before the end, in seconds; got {start} and {end}")
        return AudioSlice(path, start, end)

    def _seconds(self, row: Mapping[str, Any], role: str) -> float | None:
        value = self._cell(row, role)
        if value is None or value == "":
            return None
        try:
            return float(value.replace(",", ".") if isinstance(value, str) else value)
        except (TypeError, ValueError) as error:
            what = "duration" if role == "duration_seconds" else role.removesuffix("_seconds")
            raise ValueError(f"the {what} must be a number of seconds, got {value!r}") from error

    def _translations(self, row: Mapping[str, Any], lang: str) -> dict[str, str]:
        given = self._cell(row, "translations") or {}
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except json.JSONDecodeError as error:
                raise ValueError(f"`translations` is not valid JSON ({error})") from error
        if not isinstance(given, Mapping):
            raise ValueError(f"`translations` must be an object language -> text, got {type(given).__name__}")
        pairs = [*given.items(), *((code, row.get(column)) for code, column in self.text_by_lang.items())]
        translations: dict[str, str] = {}
        for code, value in pairs:
            text = _optional_text(value, f"translations[{code}]")
            code = cached_canonical_language(code)
            # The row's own language may be among the columns; of a code with two spellings the first text is kept.
            if text is not None and code != lang:
                translations.setdefault(code, text)
        return translations


def _text_columns(
    columns: ManifestColumns, names: Sequence[str], taken: Mapping[str, str | None], place: str
) -> dict[str, str]:
    results: dict[str, str] = {}
    for code, name in columns.text_by_lang.items():
        if name not in names:
            raise ManifestError(
                f"{place}: no column {name!r} for the texts in {code!r}; the columns are {', '.join(names)}"
            )
        results[canonical_language(code)] = name
    if columns.text_by_lang:
        return results
    for name in names:
        if name.startswith("text_") and name not in taken.values():
            lang = named_language(name.removeprefix("text_"))
            if lang is not None:
                results.setdefault(lang, name)
    return results


def _optional_text(value: Any, name: str) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise ValueError(f"`{name}` must be a string, got {type(value).__name__} {value!r}")
    return clean_text(value) or None


def _optional_string(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
