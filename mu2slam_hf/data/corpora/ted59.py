# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""TED talks in 59 languages: sentences with their versions in other languages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader, canonical_language_or_none, language_aliases
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, parquet_rows, tsv_rows

# Paper: A.1.
PAPER_CODES = tuple("ar fa id it mn nl pt sl sv".split())
# Columns of the table; `calv` is not a language.
TED_COLUMNS = tuple(
    """
en es pt-br fr ru he ar ko zh-cn it ja zh-tw nl ro tr de vi pl pt bg el fa sr hu hr uk cs id th sv sk sq lt da calv my
sl mk fr-ca fi hy hi nb ka mn et ku gl mr zh ur eo ms az ta bn kk be eu bs
""".split()
)
_MISSING = ("__NULL__", "_ _ NULL _ _")


@dataclass(frozen=True, kw_only=True)
class TED59Reader(CorpusReader):
    """TED talks in 59 languages: the table of the original archive (`all_talks_train.tsv`) or the Hub's Parquet files.

    The sentences are tokenised (`Thank you so much , Chris .`), as in the original.

    Attributes:
        pairs: english (a record per sentence and language, paired with English; paper) or all (a record per sentence
            with all its languages). Choice: of two columns of one language (`pt`, `pt-br`), the one without region.
    """

    name: ClassVar[str] = "ted59"
    aliases = language_aliases(code for code in TED_COLUMNS if canonical_language_or_none(code) and code != "calv")
    layout: ClassVar[str] = "all_talks_<split>.tsv or plain_text/<split>/*.parquet"
    how_to_get: ClassVar[str] = (
        "Get it from http://phontron.com/data/ted_talks.tar.gz, or by `hf download neulab/ted_multi --repo-type "
        "dataset --revision refs/convert/parquet`"
    )

    languages: tuple[str, ...] | None = PAPER_CODES
    pairs: str = "english"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("pairs", ("english", "all"))

    def shards_by_language(self) -> dict[str, list[str]]:
        """All languages are in the same files."""
        files = self.files_of("en")
        if not files:
            raise self.not_found(f"split {self.split!r}")
        return {"en": self._parts_of(files)}

    def readers_of(self, task: str) -> list[tuple[str | None, CorpusReader]]:
        """In translation one for each language, for sampling with a temperature. Choice: all of one size."""
        if task != "mt" or not self.languages:
            return super().readers_of(task)
        return [(language, replace(self, languages=(language,))) for language in self.languages]

    def files_of(self, code: str) -> list[Path]:
        """Parquet files or the table."""
        root = Path(self.root)
        parquet = [path for config in ("plain_text", ".") for path in find_parquet(root, config, self.split)]
        if parquet:
            return parquet
        names = [f"all_talks_{split}.tsv" for split in split_spellings(self.split)]
        tables = [folder / name for folder in (root, root / "ted_talks") for name in names]
        return [table for table in tables if table.is_file()][:1]

    def code_of(self, path: Path) -> str:
        """English, which is in every row that is read."""
        return "en"

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with `id`, `talk_name` and `texts`."""
        if path.suffix == ".parquet":
            for place, row in parquet_rows(path, part, required=("translations", "talk_name")):
                if isinstance(row, dict):
                    row |= {
                        "texts": _ted_texts(row["translations"] or {}),
                        "id": f"{path.stem}:{place.rpartition(' ')[2]}",
                    }
                yield place, row
            return
        for place, row in tsv_rows(path, part, required=("talk_name", "en")):
            if isinstance(row, dict):
                texts = {code: text for code, text in row.items() if code != "talk_name"}
                row = {"talk_name": row["talk_name"], "texts": texts, "id": f"{path.stem}:{place.rpartition(':')[2]}"}
            yield place, row

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """Records of a sentence; none if English or all other languages are missing."""
        texts: dict[str, str] = {}
        # Codes without a region first, because the first text is kept.
        for code in sorted({"en", *self.codes()}, key=lambda code: ("-" in code, code)):
            text = row["texts"].get(code)
            if text and text.strip() and not any(mark in text for mark in _MISSING):
                texts.setdefault(self.language_of(code), text)
        english = texts.pop("en", None)
        if english is None:
            return
        extra = {"talk_name": row["talk_name"]}
        if self.pairs == "all" and texts:
            yield self.record(id=row["id"], lang="en", text=english, translations=texts, extra=extra)
        elif self.pairs == "english":
            for lang, text in texts.items():
                record_id = f"{row['id']}/{lang}"
                yield self.record(id=record_id, lang="en", text=english, translations={lang: text}, extra=extra)


def _ted_texts(translations: Mapping[str, Any]) -> dict[str, str]:
    """Texts by column from the Hub's `{"language": [...], "translation": [...]}`."""
    return dict(zip(translations.get("language") or (), translations.get("translation") or (), strict=False))


CORPUS = Corpus.of_reader(
    TED59Reader,
    tasks=("text", "mt"),
    licence="CC-BY-NC-ND-4.0 (TED talks)",
    redistributable_weights=False,
    citation=(
        "Qi et al.: When and Why Are Pre-Trained Word Embeddings Useful for Neural Machine Translation? NAACL 2018."
    ),
    source="https://github.com/neulab/word-embeddings-for-nmt",
    identifiers=("neulab/ted_multi",),
    columns=("translations", "talk_name"),
    paper_use="MT: ar, fa, id, it, mn, nl, pt, sl, sv with en, temperature 2 (A.1)",
    reader_options={"languages": PAPER_CODES},
)
