# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Readers of parallel texts: the news translation tasks of WMT, and TED talks in 59 languages."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from mu2slam_hf.data.corpora.files import (
    Part,
    PlacedRow,
    Row,
    UnreadableFileError,
    find_parquet,
    parquet_rows,
    split_spellings,
    text_lines,
    tsv_rows,
)
from mu2slam_hf.data.corpora.reader import CorpusReader, canonical_language_or_none, language_aliases
from mu2slam_hf.data.manifests import ManifestError
from mu2slam_hf.data.records import SpeechTextRecord

# Language -> the task it is taken from, each paired with English. Paper: A.1, "the MT sets in mSLAM".
WMT_TASKS: dict[str, str] = {
    "ja": "wmt20",
    "ta": "wmt20",
    "de": "wmt19",
    "ru": "wmt19",
    "zh": "wmt19",
    "et": "wmt18",
    "tr": "wmt18",
    "lv": "wmt17",
    "fr": "wmt15",
    "es": "wmt13",
}
# Paper: A.1.
TED59_CODES = tuple("ar fa id it mn nl pt sl sv".split())
# Columns of the table; `calv` is no language.
TED_COLUMNS = tuple(
    """
en es pt-br fr ru he ar ko zh-cn it ja zh-tw nl ro tr de vi pl pt bg el fa sr hu hr uk cs id th sv sk sq lt da calv my
sl mk fr-ca fi hy hi nb ka mn et ku gl mr zh ur eo ms az ta bn kk be eu bs
""".split()
)
_MISSING = ("__NULL__", "_ _ NULL _ _")
_SEGMENT = re.compile(r"<seg[^>]*>(.*?)</seg>", flags=re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class WMTReader(CorpusReader):
    """The pairs with English of A.1, each from the year that the paper names.

    Below `<task>/` (`wmt19/`) stands what the Hub's repository of that task holds (`de-en/train-*.parquet`), or the
    texts of the task's page: twins of one line per sentence (`europarl-v7.es-en.es` and `.en`, also `.gz`), tables of
    two columns (`news-commentary-v15.en-ja.tsv`), and test sets in SGML (`newstest2013-src.es.sgm` and
    `-ref.en.sgm`). Files in a folder `dev` are the validation split, those in `test` the test split.

    Attributes:
        tsv_columns: beginning of a file's name -> the numbers (from 0) of the two columns with the texts, in the
            order of the languages in its name; for tables with further columns (scores, addresses).
    """

    name: ClassVar[str] = "wmt"
    aliases = language_aliases(WMT_TASKS)
    layout: ClassVar[str] = (
        "<task>/<pair>/<split>-*.parquet, <task>/**/<name>.<pair>.<language>[.gz] with its twin, or "
        "<task>/**/<name>.<pair>.tsv[.gz], with task " + ", ".join(dict.fromkeys(WMT_TASKS.values()))
    )
    how_to_get: ClassVar[str] = (
        "Get wmt15, wmt17, wmt18 and wmt19 by `hf download wmt/<task> --repo-type dataset`, wmt13 and wmt20 from "
        "https://www.statmt.org/wmt13/translation-task.html and https://www.statmt.org/wmt20/translation-task.html"
    )

    tsv_columns: Mapping[str, tuple[int, int]] | None = None

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, else the files of the language other than English, tables and test sets."""
        folder = Path(self.root) / WMT_TASKS[code]
        pairs = (f"{code}-en", f"en-{code}")
        parquet = [path for pair in pairs for path in find_parquet(folder, pair, self.split)]
        if parquet or not folder.is_dir():
            return parquet
        files = []
        for path in sorted(folder.rglob("*")):
            name = path.name.removesuffix(".gz")
            plain = name.endswith(f".{code}") or name.endswith(f".{code}.sgm")
            table = name.endswith(".tsv") and any(f".{pair}." in name or name == f"{pair}.tsv" for pair in pairs)
            if (table or (plain and self._twin(path, code) is not None)) and self._is_of_split(path, folder):
                files.append(path)
        return files

    def code_of(self, path: Path) -> str:
        """The language other than English, by the pair in the path, else by the ending of the name."""
        for name in reversed(path.relative_to(self.root).parts):
            for word in re.split(r"[.\s]", name):
                pair = word.split("-")
                if len(pair) == 2 and "en" in pair and set(pair) & set(self.aliases):
                    return next(code for code in pair if code in self.aliases)
        name = path.name.removesuffix(".gz").removesuffix(".sgm")
        return name.rpartition(".")[2]

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with `id` and a text per language."""
        code = self.code_of(path)
        if path.suffix == ".parquet":
            for place, row in parquet_rows(path, part, required=("translation",)):
                if isinstance(row, dict):
                    row = {**(row["translation"] or {}), "id": f"{path.stem}:{place.rpartition(' ')[2]}"}
                yield place, row
        elif path.name.removesuffix(".gz").endswith(".tsv"):
            yield from self._table(path, part, code)
        else:
            yield from self._twins(path, part, code)

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record, or none where a side is empty."""
        code = self.code_of(path)
        text, english = row.get(code), row.get("en")
        if not (text and text.strip() and english and english.strip()):
            return
        task = WMT_TASKS[code]
        yield self.record(
            id=f"{task}/{code}-en/{row['id']}", lang=self.language_of(code), text=text, translations={"en": english}
        )

    def _is_of_split(self, path: Path, folder: Path) -> bool:
        inside = set(path.relative_to(folder).parts[:-1])
        found = "validation" if inside & {"dev", "validation"} else "test" if "test" in inside else "train"
        return found in split_spellings(self.split)

    def _twin(self, path: Path, code: str) -> Path | None:
        """The English file that belongs to one of another language."""
        packed = ".gz" if path.suffix == ".gz" else ""
        name = path.name.removesuffix(".gz")
        if name.endswith(".sgm"):
            stem = name.removesuffix(f".{code}.sgm")
            sides = {"src": "ref", "ref": "src"}
            other = sides.get(stem.rpartition("-")[2])
            name = f"{stem[:-3]}{other}.en.sgm" if other else f"{stem}.en.sgm"
        else:
            name = f"{name.removesuffix(f'.{code}')}.en"
        twin = path.with_name(name + packed)
        return twin if twin.is_file() else None

    def _twins(self, path: Path, part: Part, code: str) -> Iterator[PlacedRow]:
        twin = self._twin(path, code)
        if twin is None:
            raise UnreadableFileError(f"{path}: its English twin is missing")
        stem = path.name.removesuffix(".gz")
        for number, (text, english) in enumerate(zip_longest(_sentences(path), _sentences(twin)), start=1):
            if text is None or english is None:
                raise UnreadableFileError(f"{path} and {twin.name} have different numbers of lines, from {number} on")
            if part.has(number - 1):
                yield f"{path}:{number}", {"id": f"{stem}:{number}", code: text, "en": english}

    def _table(self, path: Path, part: Part, code: str) -> Iterator[PlacedRow]:
        name = path.name.removesuffix(".gz")
        order = (code, "en") if f"{code}-en" in name else ("en", code)
        chosen = next((both for start, both in (self.tsv_columns or {}).items() if name.startswith(start)), None)
        for position, (number, line) in enumerate(text_lines(path)):
            if not part.has(position) or not line:
                continue
            cells, place = line.split("\t"), f"{path}:{number}"
            first, second = chosen or (0, 1)
            if (chosen is None and len(cells) != 2) or max(first, second) >= len(cells):
                yield (
                    place,
                    ManifestError(
                        f"{len(cells)} columns; say which two hold the texts by "
                        f"`tsv_columns: {{{name.split('.')[0]}: [i, j]}}`"
                    ),
                )
            else:
                yield place, {"id": f"{name}:{number}", order[0]: cells[first], order[1]: cells[second]}


@dataclass(frozen=True, kw_only=True)
class TED59Reader(CorpusReader):
    """TED talks in 59 languages: the table of the original archive (`all_talks_train.tsv`) or the Hub's Parquet files.

    The sentences come tokenised (`Thank you so much , Chris .`), as in the original.

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

    languages: tuple[str, ...] | None = TED59_CODES
    pairs: str = "english"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs not in ("english", "all"):
            raise ValueError(f"`pairs` must be english or all, got {self.pairs!r}")

    def shards_by_language(self) -> dict[str, list[str]]:
        """All languages stand in the same files."""
        files = self.files_of("en")
        if not files:
            raise self.not_found(f"split {self.split!r}")
        return {"en": self._parts_of(files)}

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
        """English stands in every row that is read."""
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
        """Records of a sentence; none where English or all other languages are missing."""
        texts: dict[str, str] = {}
        # Codes without a region first: theirs is the text that stays.
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
    """Of the Hub's `{"language": [...], "translation": [...]}`."""
    return dict(zip(translations.get("language") or (), translations.get("translation") or (), strict=False))


def _sentences(path: Path) -> Iterator[str]:
    """Lines of a text, or the segments of a test set in SGML."""
    if path.name.removesuffix(".gz").endswith(".sgm"):
        for _, line in text_lines(path):
            yield from map(html.unescape, _SEGMENT.findall(line))
    else:
        for _, line in text_lines(path):
            yield line
