# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Europarl-ST: debates of the European Parliament with translations of their transcripts, all pairs of 9 languages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, UnreadableFileError, text_lines

_LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ro")
# In this order; the archive has AAC (.m4a), of which parts cannot be read.
_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True, kw_only=True)
class EuroparlSTReader(CorpusReader):
    """Europarl-ST, as its archive is unpacked.

    A record is one segment of a debate with all its translations: segments of different pairs of languages with the
    same recording, start and end are one. The recordings must be converted from AAC, for example by
    `ffmpeg -i NAME.m4a -ac 1 -ar 16000 NAME.flac`.
    """

    name: ClassVar[str] = "europarl_st"
    aliases = language_aliases(_LANGUAGES)
    splits: ClassVar[tuple[str, ...]] = ("train", "train-noisy", "dev", "test")
    layout: ClassVar[str] = (
        "<source>/<target>/<split>/segments.lst with segments.<source> and segments.<target>, and "
        "<source>/audios/<name>.flac"
    )
    how_to_get: ClassVar[str] = (
        "Get it from https://www.mllp.upv.es/europarl-st and convert the recordings: ffmpeg -i NAME.m4a -ac 1 "
        "-ar 16000 NAME.flac"
    )

    def files_of(self, code: str) -> list[Path]:
        """The folder of a source language, if it has the split."""
        folder = Path(self.root) / code
        return [folder] if self._lists_of(folder) else []

    def code_of(self, path: Path) -> str:
        """The name of the folder."""
        return path.name

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """One row for each segment, with its translations."""
        for position, (index, row) in enumerate(self._joined(path)):
            if part.has(position):
                yield index, row

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        start, end = float(row["start"]), float(row["end"])
        if not 0 <= start < end:
            raise ManifestError(f"a segment from {row['start']} s to {row['end']} s has no duration")
        audio = self._find_audio(path / "audios", row["name"])
        yield self.record(
            id=f"{row['name']}_{round(1000 * start):08d}_{round(1000 * end):08d}",
            lang=self.language_of(path.name),
            audio=AudioSlice(str(audio), start, end),
            text=row["text"],
            translations=row["translations"],
            duration_seconds=end - start,
        )

    def _lists_of(self, folder: Path) -> dict[str, Path]:
        """Target language -> list of segments."""
        split = "dev" if self.split == "validation" else self.split
        lists = {target: folder / target / split / "segments.lst" for target in _LANGUAGES}
        return {target: path for target, path in lists.items() if path.is_file()}

    def _joined(self, folder: Path) -> list[tuple[str, Row]]:
        results: dict[tuple[str, ...], tuple[str, Row]] = {}
        for target, segments in self._lists_of(folder).items():
            tables = [
                segments,
                segments.with_name(f"segments.{folder.name}"),
                segments.with_name(f"segments.{target}"),
            ]
            columns = [[line for _, line in text_lines(table)] for table in tables]
            if len({len(column) for column in columns}) > 1:
                counts = ", ".join(
                    f"{len(column)} in {table.name}" for column, table in zip(columns, tables, strict=True)
                )
                raise UnreadableFileError(
                    f"{segments.parent}: the files must have the same number of lines, got {counts}"
                )
            for number, (line, text, translation) in enumerate(zip(*columns, strict=True), start=1):
                cells = tuple(line.split())
                if len(cells) != 3:
                    raise UnreadableFileError(
                        f"{segments}:{number}: expected a name, a start and an end, got {line!r}"
                    )
                name, start, end = cells
                row = {"name": name, "start": start, "end": end, "text": text, "translations": {}}
                results.setdefault(cells, (f"{segments}:{number}", row))[1]["translations"][target] = translation
        return list(results.values())

    def _find_audio(self, folder: Path, name: str) -> Path:
        for suffix in _SUFFIXES:
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
        message = f"no recording {name} in {folder} with one of the extensions {', '.join(_SUFFIXES)}"
        if (folder / f"{name}.m4a").is_file():
            message += f"; convert {name}.m4a: ffmpeg -i {name}.m4a -ac 1 -ar 16000 {name}.flac"
        raise ManifestError(message)


CORPUS = Corpus.of_reader(
    EuroparlSTReader,
    tasks=("speech", "asr", "ast", "mt"),
    licence="CC-BY-NC-4.0",
    redistributable_weights=False,
    citation=(
        "Iranzo-Sanchez et al.: Europarl-ST: A Multilingual Corpus for Speech Translation of Parliamentary Debates. "
        "ICASSP 2020."
    ),
    source="https://www.mllp.upv.es/europarl-st",
    columns=("name", "start", "end"),
)
