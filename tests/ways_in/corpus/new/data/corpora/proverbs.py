# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Proverbs: sentences in several languages, one file for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, json_rows


@dataclass(frozen=True, kw_only=True)
class ProverbsReader(CorpusReader):
    """Reads `<lang>.jsonl` with the columns `id` and `text`."""

    name: ClassVar[str] = "proverbs"
    aliases = {"eng": "en", "fra": "fr"}
    splits: ClassVar[tuple[str, ...]] = ("train",)
    layout: ClassVar[str] = "<lang>.jsonl"
    how_to_get: ClassVar[str] = "Write one sentence per line"

    def files_of(self, code: str) -> list[Path]:
        """The file of a language."""
        return sorted(Path(self.root).glob(f"{code}.jsonl"))

    def code_of(self, path: Path) -> str:
        """The language in the name of the file."""
        return path.stem

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows of a file."""
        return json_rows(path, part)

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record per row."""
        yield self.record(id=str(row["id"]), lang=self.language_of(self.code_of(path)), text=row["text"])


CORPUS = Corpus.of_reader(
    ProverbsReader,
    tasks=("text",),
    licence="CC0-1.0",
    redistributable_weights=True,
    citation="",
    source="written for this example",
    documents={"en": 2, "fr": 1},
)
