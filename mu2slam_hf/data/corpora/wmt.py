# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""News translation tasks of WMT: sentences in 10 languages with their English versions."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError, PlacedRow, Row, UnreadableFileError, parquet_rows, text_lines

# Language -> its task, each paired with English. Paper: A.1, "the MT sets in mSLAM".
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
_SEGMENT = re.compile(r"<seg[^>]*>(.*?)</seg>", flags=re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class WMTReader(CorpusReader):
    """The pairs with English of A.1, each from the year in the paper.

    The folder `<task>/` (`wmt19/`) has the files of the Hub's repository of that task (`de-en/train-*.parquet`), or
    the texts of the task's page: parallel files with one line per sentence (`europarl-v7.es-en.es` and `.en`, also
    `.gz`), tables of two columns (`news-commentary-v15.en-ja.tsv`), and test sets in SGML (`newstest2013-src.es.sgm`
    and `-ref.en.sgm`). Files in a folder `dev` are the validation split, those in `test` the test split.

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
        """One record, or none if a side is empty."""
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
        results = "validation" if inside & {"dev", "validation"} else "test" if "test" in inside else "train"
        return results in split_spellings(self.split)

    def _twin(self, path: Path, code: str) -> Path | None:
        """The English file that is parallel to one in another language."""
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
                        f"{len(cells)} columns; select the two with the texts by "
                        f"`tsv_columns: {{{name.split('.')[0]}: [i, j]}}`"
                    ),
                )
            else:
                yield place, {"id": f"{name}:{number}", order[0]: cells[first], order[1]: cells[second]}


def _sentences(path: Path) -> Iterator[str]:
    """Lines of a text, or the segments of a test set in SGML."""
    if path.name.removesuffix(".gz").endswith(".sgm"):
        for _, line in text_lines(path):
            yield from map(html.unescape, _SEGMENT.findall(line))
    else:
        for _, line in text_lines(path):
            yield line


CORPUS = Corpus.of_reader(
    WMTReader,
    languages=("en", *WMTReader.aliases.values()),
    tasks=("mt",),
    licence="mixed: Europarl, UN, news, crawled texts; see the page of each task",
    redistributable_weights=None,
    citation="Findings of the Conference on Machine Translation, 2013, 2015, 2017, 2018, 2019 and 2020.",
    source="https://www.statmt.org/wmt<year>/translation-task.html",
    identifiers=("wmt/wmt15", "wmt/wmt17", "wmt/wmt18", "wmt/wmt19"),
    columns=("translation",),
    paper_use="MT: ja, ta, de, ru, zh, et, tr, lv, fr, es with en, temperature 2 (A.1)",
)
