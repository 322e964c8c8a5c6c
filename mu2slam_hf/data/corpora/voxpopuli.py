# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""VoxPopuli: transcribed speeches of the European Parliament."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, archived_rows, keyed_rows, parquet_rows, tsv_rows

# The paper's 14; the corpus also has 3 hours of et and 2 of lt. Paper: Table 9.
ASR_CODES = tuple("en de it fr es pl ro hu nl cs sl fi hr sk".split())
_COLUMNS = ("speaker_id", "gender", "accent", "is_gold_transcript")


@dataclass(frozen=True, kw_only=True)
class VoxPopuliReader(CorpusReader):
    """Transcribed VoxPopuli.

    Supported are the folders of `voxpopuli.get_asr_data` (`asr_<split>.tsv` and Ogg files by year), the Hub's
    repository (`asr_<split>.tsv` and tar archives, read without unpacking), and its Parquet files.

    Attributes:
        text_column: normalized_text (lower case, numbers spelled out, no punctuation) or raw_text. Choice: the
            former, on which word error rates are reported; rows in which it is empty have no transcript.
    """

    name: ClassVar[str] = "voxpopuli"
    aliases = {**language_aliases((*ASR_CODES, "et", "lt")), "en_accented": "en"}
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
        self.check_choice("text_column", ("normalized_text", "raw_text"))

    def codes(self) -> tuple[str, ...]:
        """The corpus's own codes; accented English (a test set) only if it is requested."""
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
            table = path.parent.parent / f"asr_{path.parent.name}.tsv"
            rows = keyed_rows(table, "id", required=(self.text_column,))
            yield from archived_rows(path, part, rows, by="stem")

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        record_id = row.get("audio_id") or row.get("id") or ""
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row[self.text_column],
            duration_seconds=self.seconds_of(None, row["audio"], record_id),
            speaker=row.get("speaker_id"),
            extra={name: row[name] for name in _COLUMNS[1:] if name in row},
        )


CORPUS = Corpus.of_reader(
    VoxPopuliReader,
    tasks=("speech", "asr"),
    licence="CC0-1.0; for the recordings see also the legal notice of the European Parliament",
    redistributable_weights=True,
    citation=(
        "Wang et al.: VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning, "
        "Semi-Supervised Learning and Interpretation. ACL 2021."
    ),
    source="https://huggingface.co/datasets/facebook/voxpopuli",
    identifiers=("facebook/voxpopuli",),
    columns="audio_id language audio raw_text normalized_text gender speaker_id is_gold_transcript accent".split(),
    hours=parse_sizes(
        "en:543 de:282 fr:211 es:166 pl:111 it:91 ro:89 hu:63 cs:62 nl:53 fi:27 hr:43 sk:35 sl:10 et:3 lt:2"
    ),
    sizes_source="README of facebookresearch/voxpopuli",
    paper_use="ASR, 14 languages (A.1); fine-tuning (3.1, Table 9)",
    paper_hours={"asr": 1300.0},
    reader_options={"languages": ASR_CODES},
)
