# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Readers of Multilingual LibriSpeech (audiobooks) and FLEURS (the same sentences in 102 languages)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from mu2slam_hf.data.audio_slices import seconds_of
from mu2slam_hf.data.corpora.files import (
    Part,
    PlacedRow,
    Row,
    find_parquet,
    parquet_rows,
    split_spellings,
    tar_files,
    text_lines,
    tsv_rows,
)
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import FLEURS_CODES

MLS_LANGUAGES = ("english", "german", "dutch", "french", "spanish", "italian", "portuguese", "polish")
# Splits with little supervision: names on the Hub -> lists of ids in the original folders.
_LIMITED = {"9_hours": ("9hr",), "1_hours": ("1hr",), "10_hours": ("9hr", "1hr")}
_FLEURS_COLUMNS = ("id", "file", "raw_transcription", "transcription", "characters", "num_samples", "gender")
_FLEURS_TEXTS = ("raw_transcription", "transcription")
_PAIRS = ("english", "all", "none")


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
        record_id = row.get("id") or _stem_of(row["audio"], row.get("original_path"))
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row["transcript"],
            duration_seconds=seconds_of(row.get("audio_duration"), row["audio"], record_id),
            speaker=row.get("speaker_id"),
        )


@dataclass(frozen=True, kw_only=True)
class FleursReader(CorpusReader):
    """FLEURS: the Hub's tables and archives (unpacked or not), or its Parquet files.

    A sentence is read by up to three people, so an id is `<number of the sentence>/<name of the recording>`.

    Attributes:
        text_column: raw_transcription (as written) or transcription (lower case, no punctuation). Choice: as written,
            like the other corpora with translations.
        pairs: which translations a recording gets, by the number of its sentence within the split: english (other
            languages into English, English into all others), all (n-way), or none.
    """

    name: ClassVar[str] = "fleurs"
    aliases = language_aliases(FLEURS_CODES)
    layout: ClassVar[str] = (
        "data/<code>/<split>.tsv with audio/<split>.tar.gz or audio/<split>/, or parquet-data/<code>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = "Get it by `hf download google/fleurs --repo-type dataset`"

    text_column: str = "raw_transcription"
    pairs: str = "english"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, choices in (
            ("text_column", self.text_column, _FLEURS_TEXTS),
            ("pairs", self.pairs, _PAIRS),
        ):
            if value not in choices:
                raise ValueError(f"`{name}` must be one of {', '.join(choices)}; got {value!r}")

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, the table where its audio is unpacked, or the archive of the audio."""
        parquet = find_parquet(Path(self.root), code, self.split)
        if parquet:
            return parquet
        for folder in (Path(self.root) / "data" / code, Path(self.root) / code):
            for split in split_spellings(self.split):
                archive = folder / "audio" / f"{split}.tar.gz"
                if (folder / f"{split}.tsv").is_file():
                    packed = archive.is_file() and not (folder / "audio" / split).is_dir()
                    return [archive if packed else folder / f"{split}.tsv"]
        return []

    def code_of(self, path: Path) -> str:
        """The folder that is named by a language."""
        return next(name for name in reversed(path.parts[:-1]) if name in self.aliases)

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with the columns of the Parquet files."""
        if path.suffix == ".parquet":
            required, optional = ("id", "audio", self.text_column), ("path", "num_samples", "gender")
            yield from parquet_rows(path, part, required=required, optional=optional)
        elif path.suffix == ".tsv":
            for place, row in tsv_rows(path, part, names=_FLEURS_COLUMNS):
                if isinstance(row, dict):
                    row["audio"] = str(path.parent / "audio" / path.stem / row["file"])
                yield place, row
        else:
            split = path.name.removesuffix(".tar.gz")
            table = _rows_by_file(path.parent.parent / f"{split}.tsv")
            for name, content in tar_files(path, part):
                entry = table.get(PurePosixPath(name).name)
                if entry is not None:
                    yield f"{path}:{name}", {**entry, "audio": {"path": name, "bytes": content}}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record, with the versions of its sentence in other languages."""
        sentence, code = str(row["id"]), self.code_of(path)
        record_id = f"{sentence}/{_stem_of(row['audio'], row.get('path'))}"
        try:
            stated = int(row["num_samples"]) / 16_000
        except (KeyError, TypeError, ValueError):
            stated = None
        yield self.record(
            id=record_id,
            lang=self.language_of(code),
            audio=row["audio"],
            text=row[self.text_column],
            translations=dict(self._translations(code, sentence)),
            duration_seconds=seconds_of(stated, row["audio"], record_id),
            extra={"sentence_id": sentence, "gender": row.get("gender")},
        )

    def _translations(self, code: str, sentence: str) -> Iterator[tuple[str, str]]:
        if self.pairs == "none":
            return
        others = ("en_us",) if self.pairs == "english" and code != "en_us" else tuple(self.aliases)
        for other in others:
            if other != code:
                texts = _texts_by_sentence(self.root, other, self.split, self.text_column)
                if sentence in texts:
                    yield self.aliases[other], texts[sentence]


def _stem_of(audio: Any, path: str | None) -> str:
    """Name of a recording without folder and ending."""
    named = audio.get("path") if isinstance(audio, Mapping) else audio
    return PurePosixPath(str(named or path or "")).stem


@lru_cache(maxsize=4)
def _rows_by_file(table: Path) -> dict[str, Row]:
    """A FLEURS table by the names of its recordings."""
    return {row["file"]: row for _, row in tsv_rows(table, names=_FLEURS_COLUMNS) if isinstance(row, dict)}


@lru_cache(maxsize=256)
def _texts_by_sentence(root: str, code: str, split: str, column: str) -> dict[str, str]:
    """Number of a sentence -> its text in one language; a sentence with several recordings has one text."""
    texts: dict[str, str] = {}
    for path in FleursReader(root=root, split=split).files_of(code):
        if path.suffix == ".parquet":
            rows = parquet_rows(path, required=("id", column))
        else:
            table = path if path.suffix == ".tsv" else path.parent.parent / path.name.replace(".tar.gz", ".tsv")
            rows = tsv_rows(table, names=_FLEURS_COLUMNS)
        texts.update((str(row["id"]), row[column]) for _, row in rows if isinstance(row, dict) and row[column])
    return texts


def _ids_of_limited(train: Path, names: tuple[str, ...]) -> frozenset[str]:
    """Ids of the small training sets of MLS."""
    folder = train / "limited_supervision"
    lists = chain.from_iterable(sorted((folder / name).rglob("*.txt")) for name in names)
    return frozenset(line.strip() for path in lists for _, line in text_lines(path) if line.strip())


class _SegmentLengths:
    """Lengths of `segments.txt` (id, source, begin, end), which is in the order of the transcripts.

    The English list has 10 million lines, too many for a table: both files are gone through together, and where they
    part ways, None sends the caller to the header of the recording.
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
