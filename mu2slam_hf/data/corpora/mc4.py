# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mC4: web pages in 101 languages, cut into pieces that a model can read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus, parse_sizes
from mu2slam_hf.data.corpora.reader import CorpusReader, clean, language_aliases
from mu2slam_hf.data.corpora.splits import split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, json_rows
from mu2slam_hf.data.text import join_texts
from mu2slam_hf.models.language_codes import MC4_CODES

# White space after the marks that end a sentence in the scripts of mC4 (and a quote or bracket after them), or the
# position after the full-width ones.
_SENTENCE_END = re.compile(
    "(?<=[.!?\u2026\u061f\u06d4\u0964\u1362])\\s+|(?<=[.!?][\"'\u201d\u00bb)\\]])\\s+|(?<=[\u3002\uff01\uff1f])\\s*"
)
_FILE = re.compile(r"c4-(?P<code>[A-Za-z-]+?)(?P<split>-validation)?\.tfrecord-\d+-of-\d+\.json\.gz")

# Pages of the training split.
_DOCUMENTS = """
af:2152243 am:162870 ar:53256040 az:5285720 be:1742030 bg:23409799 bn:7444098 ca:14492899 ceb:351894 co:494913
cs:60149680 cy:4131915 da:28777331 de:397006993 el:41753736 en:3079081989 eo:500048 es:416057992 et:6941360 eu:1555887
fa:53927287 fi:26842650 fil:2102197 fr:332674575 fy:1104359 ga:465670 gd:322404 gl:4549465 gu:631600 ha:247479
haw:84312 hi:18507273 hmn:295549 ht:269174 hu:36819508 hy:2401949 id:69625551 ig:92909 is:2069293 it:186404508
iw:12334609 ja:87337884 jv:581528 ka:2295551 kk:2392401 km:756612 kn:1056849 ko:15602947 ku:298389 ky:995539
la:1674463 lb:2740336 lo:141776 lt:11274295 lv:6414223 mg:345040 mi:101169 mk:2058417 ml:2044981 mn:2054674
mr:7774331 ms:13180647 mt:2261303 my:813530 ne:2942785 nl:96210458 no:25402139 ny:174696 pa:363399 pl:126164277
ps:335452 pt:169239084 ro:45738857 ru:755585265 sd:743057 si:534759 sk:17729698 sl:8499456 sm:98467 sn:326392
so:893012 sq:4113147 sr:3398483 st:66837 su:280719 sv:48570979 sw:985654 ta:3514561 te:1188243 tg:1280757 th:15463131
tr:87595290 uk:38556465 ur:1950124 uz:796416 vi:78587159 xh:69048 yi:143708 yo:46214 zh:54542308 zu:555458
"""


@dataclass(frozen=True, kw_only=True)
class MC4Reader(CorpusReader):
    """mC4 in the version of the Allen Institute: `c4-<lang>.tfrecord-00000-of-01024.json.gz`, each a shard.

    Attributes:
        max_characters: maximum length of the pieces of a page, cut at the ends of lines, else of sentences, else of
            words. Choice: 512, about 120 pieces of the 64k vocabulary; not in the paper.
        min_characters: shorter pieces (menus, dates) are left out.
    """

    name: ClassVar[str] = "mc4"
    aliases = language_aliases(MC4_CODES)
    splits: ClassVar[tuple[str, ...]] = ("train", "validation")
    layout: ClassVar[str] = "multilingual/c4-<lang>[-validation].tfrecord-<n>-of-<n>.json.gz"
    how_to_get: ClassVar[str] = (
        "Get it by `hf download allenai/c4 --repo-type dataset --include 'multilingual/c4-<lang>.*'` (27 TB in all)"
    )

    max_characters: int = 512
    min_characters: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_characters <= self.max_characters or self.max_characters < 1:
            raise ValueError(
                f"`min_characters` ({self.min_characters}) must not exceed `max_characters` ({self.max_characters})"
            )

    def files_of(self, code: str) -> list[Path]:
        """The compressed files of a language."""
        infix = "-validation" if "validation" in split_spellings(self.split) else ""
        for folder in (Path(self.root) / "multilingual", Path(self.root)):
            results = sorted(folder.glob(f"c4-{code}{infix}.tfrecord-*.json.gz"))
            if results:
                return results
        return []

    def code_of(self, path: Path) -> str:
        """The language in the name of the file."""
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path}: not named like {self.layout}")
        return match["code"]

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Pages with `text`, `timestamp` and `url`."""
        for place, row in json_rows(path, part):
            if isinstance(row, dict):
                row["line"] = place.rpartition(":")[2]
            yield place, row

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record per piece of the page; none for a page without text."""
        if not isinstance(row.get("text"), str):
            raise ValueError(f"no column `text` with a string; the columns are {', '.join(sorted(row))}")
        lang = self.language_of(self.code_of(path))
        shard = path.name.removesuffix(".json.gz")
        for number, piece in enumerate(split_document(row["text"], lang, self.max_characters)):
            if len(piece) >= self.min_characters:
                yield self.record(
                    id=f"{shard}:{row['line']}:{number}", lang=lang, text=piece, extra={"url": row.get("url")}
                )


def split_document(text: str, lang: str, max_characters: int) -> Iterator[str]:
    """Pieces of at most `max_characters`, as few as whole lines, sentences and words allow.

    Args:
        text: text with line breaks.
        lang: canonical language; determines whether pieces are joined with a space.
        max_characters: maximum length of each piece.

    Yields:
        Cleaned, non-empty pieces that together contain the whole text, in order.
    """
    current = ""
    for unit in _units(text, max_characters):
        joined = join_texts([current, unit], lang) if current else unit
        if len(joined) > max_characters:
            yield current
            current = unit
        else:
            current = joined
    if current:
        yield current


def _units(text: str, max_characters: int) -> Iterator[str]:
    """Lines; too long ones are split into sentences, these into sequences of words, these into characters."""
    for line in text.splitlines():
        line = clean(line) or ""
        if not line:
            continue
        for sentence in [line] if len(line) <= max_characters else _SENTENCE_END.split(line):
            while len(sentence) > max_characters:
                cut = sentence.rfind(" ", 1, max_characters + 1)
                cut = cut if cut > 0 else max_characters
                yield sentence[:cut].rstrip()
                sentence = sentence[cut:].lstrip()
            if sentence:
                yield sentence


CORPUS = Corpus.of_reader(
    MC4Reader,
    tasks=("text",),
    licence="ODC-By-1.0 for the collection, terms of Common Crawl; the pages keep their own rights",
    redistributable_weights=None,
    citation="Xue et al.: mT5: A massively multilingual pre-trained text-to-text transformer. NAACL 2021.",
    source="https://huggingface.co/datasets/allenai/c4, multilingual",
    identifiers=("allenai/c4",),
    columns=("text", "timestamp", "url"),
    documents={lang: int(number) for lang, number in parse_sizes(_DOCUMENTS).items()},
    sizes_source="TensorFlow Datasets catalogue, c4/multilingual 3.0.1, train",
    paper_use="text-only, 101 languages, temperature 3 (A.1)",
)
