# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Multilingual LibriSpeech: audiobooks in 8 languages."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases, recording_name
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, parquet_rows, text_lines, tsv_rows

MLS_LANGUAGES = ("english", "german", "dutch", "french", "spanish", "italian", "portuguese", "polish")
# Splits with little supervision: names on the Hub -> lists of ids in the original folders.
_LIMITED = {"9_hours": ("9hr",), "1_hours": ("1hr",), "10_hours": ("9hr", "1hr")}


@dataclass(frozen=True, kw_only=True)
class MLSReader(CorpusReader):
    """Multilingual LibriSpeech: the folders of OpenSLR 94 (FLAC or Opus), or the Hub's Parquet files.

    The Hub's repository has no English; `parler-tts/mls_eng` has it in the same columns (put it under `english/`).
    Split `10_hours` is `9_hours` and `1_hours` together. Paper: A.1, ASR data of 80 hours in 8 languages.
    """

    name: ClassVar[str] = "mls"
    aliases = language_aliases(MLS_LANGUAGES)
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test", *_LIMITED)
    layout: ClassVar[str] = "mls_<language>/<split>/transcripts.txt with audio/, or <language>/<split>-*.parquet"
    how_to_get: ClassVar[str] = (
        "Get it by `hf download facebook/multilingual_librispeech --repo-type dataset`, or from "
        "https://www.openslr.org/94"
    )

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, or the list of transcripts."""
        root = Path(self.root)
        names = ("9_hours", "1_hours") if self.split == "10_hours" else (self.split,)
        parquet = [path for name in names for path in find_parquet(root, code, name)]
        if parquet:
            return parquet
        folders = ("train",) if self.split in _LIMITED else split_spellings(self.split)
        for parent in (root, root / "data"):
            for kind in (f"mls_{code}", f"mls_{code}_opus"):
                for name in folders:
                    transcripts = parent / kind / name / "transcripts.txt"
                    if transcripts.is_file():
                        return [transcripts]
        return []

    def code_of(self, path: Path) -> str:
        """The language among the folders."""
        names = (name.removeprefix("mls_").removesuffix("_opus") for name in reversed(path.parts))
        return next(name for name in names if name in self.aliases)

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with the columns of the Parquet files."""
        if path.suffix == ".parquet":
            required, optional = ("audio", "transcript"), ("id", "original_path", "audio_duration", "speaker_id")
            yield from parquet_rows(path, part, required=required, optional=optional)
            return
        wanted = _ids_of_limited(path.parent, _LIMITED[self.split]) if self.split in _LIMITED else None
        suffix = ".opus" if path.parent.parent.name.endswith("_opus") else ".flac"
        seconds = _SegmentLengths(path.parent / "segments.txt")
        position = 0
        for place, row in tsv_rows(path, names=("id", "transcript")):
            stated = seconds(row["id"] if isinstance(row, dict) else "")
            if isinstance(row, dict):
                row["audio_duration"] = stated
                if wanted is not None and row["id"] not in wanted:
                    continue
                speaker, book = (row["id"].split("_") + ["", ""])[:2]
                row["speaker_id"] = speaker
                row["audio"] = str(path.parent / "audio" / speaker / book / f"{row['id']}{suffix}")
            position += 1
            if part.has(position - 1):
                yield place, row

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        record_id = row.get("id") or recording_name(row["audio"], row.get("original_path"))
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row["transcript"],
            duration_seconds=self.seconds_of(row.get("audio_duration"), row["audio"], record_id),
            speaker=row.get("speaker_id"),
        )


def _ids_of_limited(train: Path, names: tuple[str, ...]) -> frozenset[str]:
    """Ids of the small training sets of MLS."""
    folder = train / "limited_supervision"
    lists = chain.from_iterable(sorted((folder / name).rglob("*.txt")) for name in names)
    return frozenset(line.strip() for path in lists for _, line in text_lines(path) if line.strip())


class _SegmentLengths:
    """Lengths of `segments.txt` (id, source, begin, end), which is in the order of the transcripts.

    The English list has 10 million lines, too many for a table: both files are read in parallel. If they differ, the
    result is None, and the caller reads the header of the recording.
    """

    def __init__(self, path: Path) -> None:
        self._lines = text_lines(path) if path.is_file() else iter(())

    def __call__(self, record_id: str) -> float | None:
        cells = next(self._lines, (0, ""))[1].split("\t")
        if cells[0] != record_id or len(cells) < 4:
            return None
        try:
            return float(cells[3]) - float(cells[2])
        except ValueError:
            return None


CORPUS = Corpus.of_reader(
    MLSReader,
    tasks=("speech", "asr"),
    licence="CC-BY-4.0",
    redistributable_weights=True,
    citation="Pratap et al.: MLS: A Large-Scale Multilingual Dataset for Speech Research. Interspeech 2020.",
    source="https://www.openslr.org/94",
    identifiers=("facebook/multilingual_librispeech", "parler-tts/mls_eng"),
    columns="audio original_path begin_time end_time transcript audio_duration speaker_id chapter_id file id".split(),
    hours=parse_sizes(
        "english:44659.74 german:1966.51 dutch:1554.24 french:1076.58 spanish:917.68 italian:247.38 "
        "portuguese:160.96 polish:103.65"
    ),
    sizes_source="card of facebook/multilingual_librispeech, train",
    paper_use="speech-only; ASR, 8 languages of 10 hours (A.1)",
    paper_hours={"asr": 80.0},
)
