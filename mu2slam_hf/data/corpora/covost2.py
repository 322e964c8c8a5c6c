# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""CoVoST 2: part of Common Voice with translations of its transcripts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, parquet_rows, tsv_rows
from mu2slam_hf.models.language_codes import COMMON_VOICE_CODES

# The 15 languages that English is translated into; all others are translated into English only.
FROM_ENGLISH = tuple("ar ca cy de et fa id ja lv mn sl sv-SE ta tr zh-CN".split())
# Paper: Table 7, by hours of training data of translation into English.
RESOURCE_GROUPS = {
    "high": ("fr", "de", "es", "ca"),
    "mid": ("fa", "it", "ru", "pt", "zh"),
    "low": ("tr", "ar", "et", "mn", "nl", "sv", "lv", "sl", "ta", "ja", "id", "cy"),
}
_PAIR = re.compile(r"(?:covost_v2\.)?(?P<source>[A-Za-z-]+)_(?P<target>[A-Za-z-]+)(?:\..*)?")


@dataclass(frozen=True, kw_only=True)
class Covost2Reader(CorpusReader):
    """CoVoST 2: Common Voice 4 with the translations of its transcripts.

    Supported are `validated.tsv` and `clips/` of a locale with `covost_v2.<source>_<target>.tsv` next to them (or at
    the top of the corpus), the tables of `get_covost_splits.py`, or Parquet files with the Hub's columns. A recording
    is one record with all its translations, except in Parquet files, which have one pair each.

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
        """Parquet files of all pairs, or the table of all clips."""
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
            duration_seconds=self.seconds_of(None, row["audio"], row["id"]),
            speaker=row.get("client_id"),
        )

    def _targets_of(self, code: str) -> tuple[str, ...]:
        targets = FROM_ENGLISH if code == "en" else ("en",)
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
                results = [path for path in (Path(self.root) / code / name, Path(self.root) / name) if path.is_file()]
                if results:
                    tables.setdefault(target, results[0])
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


CORPUS = Corpus.of_reader(
    Covost2Reader,
    tasks=("speech", "asr", "ast", "mt"),
    licence="CC0-1.0",
    redistributable_weights=True,
    citation="Wang, Wu and Pino: CoVoST 2 and Massively Multilingual Speech Translation. Interspeech 2021.",
    source="https://github.com/facebookresearch/covost, with release 4 of Common Voice",
    identifiers=("facebook/covost2",),
    columns=("client_id", "file", "audio", "sentence", "translation", "id"),
    hours=parse_sizes(
        "en:430 fr:264 de:184 es:113 ca:136 fa:49 it:44 ru:18 pt:10 zh-CN:10 tr:4 ar:2 et:3 mn:3 nl:7 sv-SE:2 lv:2 "
        "sl:2 ta:2 ja:2 id:2 cy:2"
    ),
    translations={"en": tuple(Covost2Reader.aliases[code] for code in FROM_ENGLISH)},
    sizes_source="Paper: Tables 7 and 8, train",
    paper_use="ASR and AST, 22 languages (A.1); fine-tuning (3.1, Tables 7 and 8)",
    paper_hours={"asr": 2900.0, "ast": 9500.0},
    resource_groups=RESOURCE_GROUPS,
)
