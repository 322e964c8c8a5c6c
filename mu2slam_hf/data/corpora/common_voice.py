# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Readers of Common Voice (read sentences of volunteers) and of CoVoST 2, which translates a part of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

from mu2slam_hf.data.audio_slices import seconds_of
from mu2slam_hf.data.corpora.files import (
    Part,
    PlacedRow,
    Row,
    find_parquet,
    parquet_rows,
    split_spellings,
    tar_files,
    tsv_rows,
)
from mu2slam_hf.data.corpora.reader import CorpusReader, canonical_language_or_none, language_aliases
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.models.language_codes import COMMON_VOICE_CODES

# The 15 languages that English is translated into; all others are translated into English only.
COVOST_FROM_ENGLISH = tuple("ar ca cy de et fa id ja lv mn sl sv-SE ta tr zh-CN".split())
_PAIR = re.compile(r"(?:covost_v2\.)?(?P<source>[A-Za-z-]+)_(?P<target>[A-Za-z-]+)(?:\..*)?")
_COLUMNS = ("client_id", "gender", "accent", "accents", "variant", "locale", "up_votes", "down_votes")


@dataclass(frozen=True, kw_only=True)
class CommonVoiceReader(CorpusReader):
    """Common Voice: an unpacked release, the Hub's tables with tar archives, or Parquet files.

    Choice: without `languages`, the 22 of CoVoST 2 that are there; any other locale of a release may be named.
    Splits `validated` and `other` hold what `train` does not; without its texts they serve as speech-only data.
    """

    name: ClassVar[str] = "common_voice"
    aliases = language_aliases(COMMON_VOICE_CODES)
    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test", "validated", "other", "invalidated")
    layout: ClassVar[str] = (
        "<locale>/<split>.tsv with clips/, transcript/<locale>/<split>.tsv with audio/<locale>/<split>/*.tar, or "
        "<locale>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = (
        "Get it from Mozilla (https://commonvoice.mozilla.org/datasets, release 4 for CoVoST 2), or from the Hub "
        "where a release is still kept (mozilla-foundation/common_voice_17_0)"
    )

    def language_of(self, code: str) -> str:
        """Canonical language; any locale will do."""
        return self.aliases.get(code) or language_aliases((code,))[code]

    def codes_of_language(self, language: str) -> list[str]:
        """The locales of a language; what is none of the 22 is taken as a locale itself."""
        known = super().codes_of_language(language)
        return known or ([language] if canonical_language_or_none(language) else [])

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, archives, or the table of the split."""
        root = Path(self.root)
        parquet = find_parquet(root, code, self.split)
        if parquet:
            return parquet
        for folder in (root / "transcript" / code, root / code, *sorted(root.glob(f"cv-corpus-*/{code}"))):
            for split in split_spellings(self.split):
                if (folder / f"{split}.tsv").is_file():
                    return sorted((root / "audio" / code / split).glob("*.tar")) or [folder / f"{split}.tsv"]
        return []

    def code_of(self, path: Path) -> str:
        """The locale: the folder of a table or Parquet file, or the one above the split's."""
        if path.suffix == ".tsv" or path.parent.name not in self.splits + ("validation",):
            return path.parent.name
        return path.parent.parent.name

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows of the table, each with its audio and its length where the release states it."""
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
            table = _rows_by_clip(Path(self.root) / "transcript" / locale / f"{split}.tsv")
            for name, content in tar_files(path, part):
                entry = table.get(PurePosixPath(name).name)
                if entry is not None:
                    yield f"{path}:{name}", {**entry, "audio": {"path": name, "bytes": content}}

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        record_id = PurePosixPath(row["path"]).stem
        yield self.record(
            id=record_id,
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row["sentence"],
            duration_seconds=seconds_of(row.get("seconds"), row["audio"], record_id),
            speaker=row.get("client_id"),
            extra={name: row[name] for name in _COLUMNS[1:] if row.get(name) not in (None, "")},
        )


@dataclass(frozen=True, kw_only=True)
class Covost2Reader(CorpusReader):
    """CoVoST 2: Common Voice 4 with the translations of its transcripts.

    Read are `validated.tsv` and `clips/` of a locale with `covost_v2.<source>_<target>.tsv` beside them (or at the
    top of the corpus), the tables that `get_covost_splits.py` writes, or Parquet files of the Hub's columns. A
    recording is one record with all its translations, except in Parquet files, which hold one pair each.

    Attributes:
        targets: translations into other languages are left out; None keeps all.
    """

    name: ClassVar[str] = "covost2"
    aliases = language_aliases(COMMON_VOICE_CODES)
    layout: ClassVar[str] = (
        "<source>/validated.tsv with clips/ and covost_v2.<source>_<target>.tsv, or "
        "<source>_<target>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = (
        "Get the translations from https://github.com/facebookresearch/covost and release 4 of Common Voice, whose "
        "recordings they belong to, from https://commonvoice.mozilla.org/datasets; on the Hub: facebook/covost2"
    )

    targets: tuple[str, ...] | None = None

    def files_of(self, code: str) -> list[Path]:
        """Parquet files of all pairs, or the one table that leads to the others."""
        root = Path(self.root)
        pairs = [f"{code}_{target}" for target in self._targets_of(code)]
        parquet = [path for pair in pairs for path in find_parquet(root, pair, self.split)]
        if parquet:
            return parquet
        if not any(self._tables(code)):
            return []
        validated = root / code / "validated.tsv"
        if validated.is_file():
            return [validated]
        return [table for table in self._tables(code).values() if self._is_of_split(table)][:1]

    def code_of(self, path: Path) -> str:
        """The source language, by the folder or by the name of the pair."""
        for name in reversed(path.parts):
            match = _PAIR.fullmatch(name)
            if name in self.aliases or (match and match["source"] in self.aliases):
                return name if name in self.aliases else match["source"]  # type: ignore[index]
        raise ValueError(f"{path}: no language in its name")

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with `sentence`, `client_id` and `translations`."""
        if path.suffix == ".parquet":
            match = _PAIR.fullmatch(path.parent.name) or _PAIR.fullmatch(path.parent.parent.name)
            target = match["target"] if match else "en"
            columns = ("id", "audio", "sentence", "translation")
            for place, row in parquet_rows(path, part, required=columns, optional=("client_id",)):
                if isinstance(row, dict):
                    row["translations"] = {target: row["translation"]}
                    row["id"] = row["id"] if target == "en" else f"{row['id']}_{target}"
                yield place, row
            return
        code = self.code_of(path)
        translations, rows = self._joined(code, path)
        clips = Path(self.root) / code / "clips"
        position = 0
        for place, row in rows:
            if isinstance(row, dict):
                if row["path"] not in translations:
                    continue
                row |= {
                    "id": PurePosixPath(row["path"]).stem,
                    "audio": str(clips / row["path"]),
                    "translations": translations[row["path"]],
                }
            position += 1
            if part.has(position - 1):
                yield place, row

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record."""
        versions = {self.aliases[target]: text for target, text in row["translations"].items()}
        yield self.record(
            id=row["id"],
            lang=self.language_of(self.code_of(path)),
            audio=row["audio"],
            text=row["sentence"],
            translations=versions,
            duration_seconds=seconds_of(None, row["audio"], row["id"]),
            speaker=row.get("client_id"),
        )

    def _targets_of(self, code: str) -> tuple[str, ...]:
        targets = COVOST_FROM_ENGLISH if code == "en" else ("en",)
        if self.targets is None:
            return targets
        wanted = {self.aliases.get(target, target) for target in self.targets}
        return tuple(target for target in targets if self.aliases[target] in wanted)

    def _tables(self, code: str) -> dict[str, Path]:
        """Target -> table of a pair: with all splits, else the one of this split."""
        tables: dict[str, Path] = {}
        for target in self._targets_of(code):
            names = [f"covost_v2.{code}_{target}.tsv"]
            names += [f"covost_v2.{code}_{target}.{split}.tsv" for split in split_spellings(self.split)]
            for name in names:
                found = [path for path in (Path(self.root) / code / name, Path(self.root) / name) if path.is_file()]
                if found:
                    tables.setdefault(target, found[0])
        return tables

    def _is_of_split(self, table: Path) -> bool:
        return any(table.name.endswith(f".{split}.tsv") for split in split_spellings(self.split))

    def _joined(self, code: str, path: Path) -> tuple[dict[str, dict[str, str]], Iterator[PlacedRow]]:
        """Clip -> target -> text for the clips of this split, and the rows that have their transcripts."""
        wanted = {"train", "train_covost"} if self.split == "train" else set(split_spellings(self.split))
        translations: dict[str, dict[str, str]] = {}
        sentences: dict[str, Row] = {}
        for target, table in self._tables(code).items():
            split_already = self._is_of_split(table)
            required = ("path", "translation", "sentence" if split_already else "split")
            for _, row in tsv_rows(table, required=required, backslash_escapes=True):
                if isinstance(row, dict) and (split_already or row["split"] in wanted):
                    translations.setdefault(row["path"], {})[target] = row["translation"]
                    sentences.setdefault(row["path"], row)
        if path.name == "validated.tsv":
            return translations, tsv_rows(path, required=("path", "sentence"), backslash_escapes=True)
        return translations, ((f"{path}:{row['path']}", dict(row)) for row in sentences.values())


@lru_cache(maxsize=2)
def _rows_by_clip(table: Path) -> dict[str, Row]:
    """A table by the names of its clips; the archives of a split are read one after the other."""
    return {row["path"]: row for _, row in tsv_rows(table, required=("path", "sentence")) if isinstance(row, dict)}


@lru_cache(maxsize=2)
def _clip_seconds(path: Path) -> dict[str, float]:
    """Clip -> seconds, of the list that newer releases have; its entries in milliseconds."""
    if not path.is_file():
        return {}
    rows = (row for _, row in tsv_rows(path, required=("clip", "duration[ms]")) if isinstance(row, dict))
    return {row["clip"]: float(row["duration[ms]"]) / 1000.0 for row in rows if row["duration[ms]"].isdigit()}
