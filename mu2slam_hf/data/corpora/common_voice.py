# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Common Voice: sentences read by volunteers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, canonical_language_or_none, language_aliases
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, archived_rows, keyed_rows, parquet_rows, tsv_rows
from mu2slam_hf.models.language_codes import COMMON_VOICE_CODES

# Every recording of a release is in exactly one of these.
_ALL_RECORDINGS = ("validated", "other", "invalidated")
_COLUMNS = ("client_id", "gender", "accent", "accents", "variant", "locale", "up_votes", "down_votes")


@dataclass(frozen=True, kw_only=True)
class CommonVoiceReader(CorpusReader):
    """Common Voice: an unpacked release, the Hub's tables with tar archives, or Parquet files.

    Choice: without `languages`, those of the 22 of CoVoST 2 that exist; other locales of a release may be given.
    Split `all` has every recording of a release: those of `validated`, `other` and `invalidated`, which the declared
    hours count. It contains the recordings of `dev` and `test` and is meant for speech without transcripts.
    Splits `validated` and `other` have clips that `train` does not have; without texts they are speech-only data.
    """

    name: ClassVar[str] = "common_voice"
    aliases = language_aliases(COMMON_VOICE_CODES)
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test", *_ALL_RECORDINGS, "all")
    layout: ClassVar[str] = (
        "<locale>/<split>.tsv with clips/, transcript/<locale>/<split>.tsv with audio/<locale>/<split>/*.tar, or "
        "<locale>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = (
        "Get it from Mozilla (https://commonvoice.mozilla.org/datasets, release 4 for CoVoST 2), or from the Hub "
        "where a release is still kept (mozilla-foundation/common_voice_17_0)"
    )

    def language_of(self, code: str) -> str:
        """Canonical language of any locale."""
        return self.aliases.get(code) or language_aliases((code,))[code]

    def codes_of_language(self, language: str) -> list[str]:
        """The locales of a language; a code that is none of the 22 is used as a locale."""
        known = super().codes_of_language(language)
        return known or ([language] if canonical_language_or_none(language) else [])

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, archives, or the table of the split."""
        names = _ALL_RECORDINGS if self.split == "all" else (self.split,)
        return [path for name in names for path in self._files_of_split(code, name)]

    def _files_of_split(self, code: str, name: str) -> list[Path]:
        root = Path(self.root)
        parquet = find_parquet(root, code, name)
        if parquet:
            return parquet
        for folder in (root / "transcript" / code, root / code, *sorted(root.glob(f"cv-corpus-*/{code}"))):
            for split in split_spellings(name):
                if (folder / f"{split}.tsv").is_file():
                    return sorted((root / "audio" / code / split).glob("*.tar")) or [folder / f"{split}.tsv"]
        return []

    def code_of(self, path: Path) -> str:
        """The locale: the folder of a table or Parquet file, or the one above the split's."""
        if path.suffix == ".tsv" or path.parent.name not in self.splits + ("validation",):
            return path.parent.name
        return path.parent.parent.name

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows of the table, each with its audio and, if the release has it, its length."""
        if path.suffix == ".parquet":
            yield from parquet_rows(path, part, required=("path", "audio", "sentence"), optional=_COLUMNS)
        elif path.suffix == ".tsv":
            seconds = _clip_seconds(path.parent / "clip_durations.tsv")
            for place, row in tsv_rows(path, part, required=("path", "sentence")):
                if isinstance(row, dict):
                    row |= {"audio": str(path.parent / "clips" / row["path"]), "seconds": seconds.get(row["path"])}
                yield place, row
        else:
            locale, split = path.parent.parent.name, path.parent.name
            table = Path(self.root) / "transcript" / locale / f"{split}.tsv"
            yield from archived_rows(path, part, keyed_rows(table, "path", required=("sentence",)))

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        record_id = PurePosixPath(row["path"]).stem
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row["sentence"],
            duration_seconds=self.seconds_of(row.get("seconds"), row["audio"], record_id),
            speaker=row.get("client_id"),
            extra={name: row[name] for name in _COLUMNS[1:] if row.get(name) not in (None, "")},
        )


@lru_cache(maxsize=2)
def _clip_seconds(path: Path) -> dict[str, float]:
    """Clip -> seconds, from the list in newer releases, whose unit is milliseconds."""
    if not path.is_file():
        return {}
    rows = (row for _, row in tsv_rows(path, required=("clip", "duration[ms]")) if isinstance(row, dict))
    return {row["clip"]: float(row["duration[ms]"]) / 1000.0 for row in rows if row["duration[ms]"].isdigit()}


CORPUS = Corpus.of_reader(
    CommonVoiceReader,
    tasks=("speech", "asr"),
    licence="CC0-1.0",
    redistributable_weights=True,
    citation="Ardila et al.: Common Voice: A Massively-Multilingual Speech Corpus. LREC 2020.",
    source="https://commonvoice.mozilla.org/datasets",
    identifiers=("mozilla-foundation/common_voice_17_0",),
    columns="client_id path audio sentence up_votes down_votes age gender accent locale segment variant".split(),
    hours=parse_sizes(
        "ar:77 ca:748 cy:124 de:836 en:2181 es:579 et:27 fa:321 fr:682 id:17 it:199 ja:5 lv:7 mn:17 nl:63 pt:63 "
        "ru:130 sl:7 sv-SE:15 ta:24 tr:22 zh-CN:78"
    ),
    hours_split="all",
    sizes_source="loader of common_voice (release 6.1) in huggingface/datasets, all recordings",
    paper_use="speech-only (A.1)",
)
