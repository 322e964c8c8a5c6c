# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""VoxPopuli without transcripts: up to 24,100 hours of each of 23 languages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import soundfile as sf

from mu2slam_hf.data.audio import AudioSlice
from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, UnreadableFileError, tsv_rows
from mu2slam_hf.models.language_codes import VOXPOPULI_CODES


@dataclass(frozen=True, kw_only=True)
class VoxPopuliUnlabelledReader(CorpusReader):
    """VoxPopuli without transcripts: 24,100 hours of English to 8,100 of Croatian.

    Supported are the segments of `voxpopuli.get_unlabelled_data` (`unlabelled_data/<lang>/<year>/<id>_<n>.ogg`), or
    the uncut sessions (`raw_audios/<lang>/<year>/<id>.ogg`): by the segments of `unlabelled_data/unlabelled_v2.tsv.gz`
    if it exists, else in equal pieces. A shard is one year of one language; `parts` makes them smaller.

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
        """One row per segment; parts consist of whole sessions."""
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
                results = self._equal_segments(file) if segments is None else segments.get(file.stem, [])
            except (sf.SoundFileError, RuntimeError) as error:
                yield str(file), ManifestError(f"cannot be read as audio ({error})")
                continue
            for number, start, end in results:
                yield str(file), {"id": f"{file.stem}_{number}", "audio": AudioSlice(str(file), start, end)}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record without text."""
        yield self.record(
            id=row["id"],
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            duration_seconds=self.seconds_of(None, row["audio"], row["id"]),
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


CORPUS = Corpus.of_reader(
    VoxPopuliUnlabelledReader,
    tasks=("speech",),
    licence="CC0-1.0; for the recordings see also the legal notice of the European Parliament",
    redistributable_weights=True,
    citation=(
        "Wang et al.: VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning, "
        "Semi-Supervised Learning and Interpretation. ACL 2021."
    ),
    source="https://github.com/facebookresearch/voxpopuli, subset 400k",
    columns=("event_id", "segment_no", "start", "end"),
    hours=parse_sizes(
        "en:24100 de:23200 fr:22800 es:21400 pl:21200 it:21900 ro:17900 hu:17700 cs:18700 nl:19000 fi:14200 hr:8100 "
        "sk:12100 sl:11300 et:10600 lt:14400 pt:17500 bg:17600 el:17700 lv:13100 mt:9100 sv:16300 da:13600"
    ),
    sizes_source="README of facebookresearch/voxpopuli",
    paper_use="speech-only (A.1)",
)
