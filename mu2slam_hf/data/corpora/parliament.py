# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Readers of VoxPopuli: transcribed speeches, and the 400,000 hours without transcripts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

import soundfile as sf

from mu2slam_hf.data.audio_slices import AudioSlice, seconds_of
from mu2slam_hf.data.corpora.files import (
    Part,
    PlacedRow,
    Row,
    UnreadableFileError,
    find_parquet,
    parquet_rows,
    split_spellings,
    tar_files,
    tsv_rows,
)
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.manifests import ManifestError
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import VOXPOPULI_CODES

# The paper's 14; the corpus also has 3 hours of et and 2 of lt. Paper: Table 9.
VOXPOPULI_ASR_CODES = tuple("en de it fr es pl ro hu nl cs sl fi hr sk".split())
_TEXT_COLUMNS = ("normalized_text", "raw_text")
_COLUMNS = ("speaker_id", "gender", "accent", "is_gold_transcript")


@dataclass(frozen=True, kw_only=True)
class VoxPopuliReader(CorpusReader):
    """Transcribed VoxPopuli.

    Read are the folders that `voxpopuli.get_asr_data` writes (`asr_<split>.tsv` and Ogg files by year), the Hub's
    repository (`asr_<split>.tsv` and tar archives, read without unpacking), and its Parquet files.

    Attributes:
        text_column: normalized_text (lower case, numbers spelled out, no punctuation) or raw_text. Choice: the
            former, on which word error rates are reported; rows where it is empty have no transcript.
    """

    name: ClassVar[str] = "voxpopuli"
    aliases = {**language_aliases((*VOXPOPULI_ASR_CODES, "et", "lt")), "en_accented": "en"}
    layout: ClassVar[str] = (
        "transcribed_data/<lang>/asr_<split>.tsv with <year>/<id>.ogg, data/<lang>/asr_<split>.tsv with "
        "<split>/<split>_part_<n>.tar.gz, or <lang>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = (
        "Get it by `hf download facebook/voxpopuli --repo-type dataset`, or by the scripts of "
        "https://github.com/facebookresearch/voxpopuli"
    )

    text_column: str = "normalized_text"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text_column not in _TEXT_COLUMNS:
            raise ValueError(f"`text_column` must be one of {', '.join(_TEXT_COLUMNS)}; got {self.text_column!r}")

    def codes(self) -> tuple[str, ...]:
        """The corpus's own codes; accented English (a test set) only by its name."""
        codes = super().codes()
        accented = "en_accented" in (self.languages or ())
        return tuple(code for code in codes if accented or code != "en_accented")

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, archives, or the table of the split."""
        root = Path(self.root)
        parquet = find_parquet(root, code, self.split)
        if parquet:
            return parquet
        for folder in (root / "transcribed_data" / code, root / "data" / code, root / code):
            for split in split_spellings(self.split):
                table = folder / f"asr_{split}.tsv"
                if table.is_file():
                    return sorted((folder / split).glob(f"{split}_part_*.tar*")) or [table]
        return []

    def code_of(self, path: Path) -> str:
        """The folder that is named by a language."""
        return next(name for name in reversed(path.parts[:-1]) if name in self.aliases)

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows of the table, each with its audio as path or as bytes."""
        if path.suffix == ".parquet":
            yield from parquet_rows(path, part, required=("audio_id", "audio", self.text_column), optional=_COLUMNS)
        elif path.suffix == ".tsv":
            for place, row in tsv_rows(path, part, required=("id", self.text_column)):
                if isinstance(row, dict):
                    row["audio"] = str(path.parent / row["id"][:4] / f"{row['id']}.ogg")
                yield place, row
        else:
            table = _table_by_id(path.parent.parent / f"asr_{path.parent.name}.tsv", self.text_column)
            for name, content in tar_files(path, part):
                audio_id = PurePosixPath(name).stem
                if audio_id in table:
                    yield f"{path}:{name}", {**table[audio_id], "audio": {"path": name, "bytes": content}}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        record_id = row.get("audio_id") or row.get("id") or ""
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row[self.text_column],
            duration_seconds=seconds_of(None, row["audio"], record_id),
            speaker=row.get("speaker_id"),
            extra={name: row[name] for name in _COLUMNS[1:] if name in row},
        )


@dataclass(frozen=True, kw_only=True)
class VoxPopuliUnlabelledReader(CorpusReader):
    """VoxPopuli without transcripts: 24,100 hours of English to 8,100 of Croatian.

    Read are the segments that `voxpopuli.get_unlabelled_data` cuts (`unlabelled_data/<lang>/<year>/<id>_<n>.ogg`), or
    the uncut sessions (`raw_audios/<lang>/<year>/<id>.ogg`): by the segments of `unlabelled_data/unlabelled_v2.tsv.gz`
    where it is there, else in equal pieces. A shard is one year of one language; `parts` makes them smaller.

    Attributes:
        segment_seconds: length of the pieces of uncut sessions without a table. Choice: 30, the order of the corpus's
            own segments.
        min_segment_seconds: a last piece that is shorter is left out.
    """

    name: ClassVar[str] = "voxpopuli_unlabelled"
    aliases = language_aliases(VOXPOPULI_CODES)
    splits: ClassVar[tuple[str, ...]] = ("train",)
    layout: ClassVar[str] = "unlabelled_data/<lang>/<year>/<id>_<n>.ogg or raw_audios/<lang>/<year>/<id>.ogg"
    how_to_get: ClassVar[str] = (
        "Get it by `python -m voxpopuli.download_audios --root [ROOT] --subset 400k` (6.4 TB) and `python -m "
        "voxpopuli.get_unlabelled_data --root [ROOT] --subset 400k` of https://github.com/facebookresearch/voxpopuli"
    )

    segment_seconds: float = 30.0
    min_segment_seconds: float = 1.0

    def files_of(self, code: str) -> list[Path]:
        """The folders of the years: cut ones, else uncut ones."""
        for kind in ("unlabelled_data", "raw_audios"):
            folder = Path(self.root) / kind / code
            years = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
            if years:
                return years
        return []

    def code_of(self, path: Path) -> str:
        """The folder above the year."""
        return path.parent.name

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """One row per segment; the parts share out sessions."""
        files = sorted(path.glob("*.ogg"))
        if not files:
            raise UnreadableFileError(f"{path}: no .ogg files")
        if path.parent.parent.name == "unlabelled_data":
            for position, file in enumerate(files):
                if part.has(position):
                    yield str(file), {"id": file.stem, "audio": str(file)}
            return
        segments = self._segments(path)
        for position, file in enumerate(files):
            if not part.has(position):
                continue
            try:
                found = self._equal_segments(file) if segments is None else segments.get(file.stem, [])
            except (sf.SoundFileError, RuntimeError) as error:
                yield str(file), ManifestError(f"cannot be read as audio ({error})")
                continue
            for number, start, end in found:
                yield str(file), {"id": f"{file.stem}_{number}", "audio": AudioSlice(str(file), start, end)}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record without text."""
        yield self.record(
            id=row["id"],
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            duration_seconds=seconds_of(None, row["audio"], row["id"]),
        )

    def _segments(self, folder: Path) -> dict[str, list[tuple[str, float, float]]] | None:
        """Session -> its (number, start, end) in seconds; only sessions of this year and language are kept."""
        table = Path(self.root) / "unlabelled_data" / "unlabelled_v2.tsv.gz"
        if not table.is_file():
            return None
        segments: dict[str, list[tuple[str, float, float]]] = {}
        for _, row in tsv_rows(table, required=("event_id", "segment_no", "start", "end")):
            # Sessions are named `20190117-0900-PLENARY-10_en`.
            if isinstance(row, dict) and row["event_id"].startswith(folder.name):
                event = row["event_id"]
                if event.rpartition("_")[2] == folder.parent.name:
                    times = (row["segment_no"], float(row["start"]), float(row["end"]))
                    segments.setdefault(event, []).append(times)
        return segments

    def _equal_segments(self, file: Path) -> list[tuple[str, float, float]]:
        info = sf.info(str(file))
        seconds = info.frames / info.samplerate
        starts = [number * self.segment_seconds for number in range(int(seconds // self.segment_seconds) + 1)]
        return [
            (str(number), start, min(start + self.segment_seconds, seconds))
            for number, start in enumerate(starts)
            if seconds - start >= self.min_segment_seconds
        ]


@lru_cache(maxsize=2)
def _table_by_id(path: Path, text_column: str) -> dict[str, Row]:
    """The table that belongs to archives, by the names of their files; the archives of a split come one by one."""
    rows = tsv_rows(path, required=("id", text_column))
    return {row["id"]: row for _, row in rows if isinstance(row, dict)}
