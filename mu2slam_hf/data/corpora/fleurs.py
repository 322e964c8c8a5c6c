# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""FLEURS: the same sentences, read aloud in 102 languages."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases, recording_name
from mu2slam_hf.data.corpora.splits import find_parquet, split_spellings
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import PlacedRow, Row, archived_rows, keyed_rows, parquet_rows, tsv_rows
from mu2slam_hf.models.language_codes import FLEURS_CODES

LANGUAGE_FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(codes.split())
    for family, codes in {
        "Afro-Asiatic": "am ar ha he mt om so",
        "Atlantic-Congo": "ff ig kam lg ln nso ny sn sw umb wo xh yo zu",
        "Austro-Asiatic": "km vi",
        "Austronesian": "ceb fil id jv mi ms",
        "Dravidian": "kn ml ta te",
        "Indo-European": "af as ast be bg bn bs ca ckb cs cy da de el en es fa fr ga gl gu hi hr hy is it kea lb lt "
        "lv mk mr nb ne nl oc or pa pl ps pt ro ru sd sk sl sr sv tg uk ur",
        "Japonic": "ja",
        "Kartvelian": "ka",
        "Koreanic": "ko",
        "Kra-Dai": "lo th",
        "Mongolic": "mn",
        "Nilo-Saharan": "luo",
        "Sino-Tibetan": "my yue zh",
        "Turkic": "az kk ky tr uz",
        "Uralic": "et fi hu",
    }.items()
}
"""The 15 groups of languages of PaLM 2 DE, Tables 2 and 6: name -> canonical codes without region."""

_COLUMNS = ("id", "file", "raw_transcription", "transcription", "characters", "num_samples", "gender")


@dataclass(frozen=True, kw_only=True)
class FleursReader(CorpusReader):
    """FLEURS: the Hub's tables and archives (unpacked or not), or its Parquet files.

    A sentence is read by up to three people, so an id is `<number of the sentence>/<name of the recording>`.

    Attributes:
        text_column: raw_transcription (as written) or transcription (lower case, no punctuation). Choice: as written,
            like the other corpora with translations.
        pairs: translations of a recording, by the number of its sentence within the split: english (other languages
            into English, English into all others), all (n-way), or none.
    """

    name: ClassVar[str] = "fleurs"
    aliases = language_aliases(FLEURS_CODES)
    layout: ClassVar[str] = (
        "data/<code>/<split>.tsv with audio/<split>.tar.gz or audio/<split>/, or parquet-data/<code>/<split>-*.parquet"
    )
    how_to_get: ClassVar[str] = "Get it by `hf download google/fleurs --repo-type dataset`"

    text_column: str = "raw_transcription"
    pairs: str = "english"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("text_column", ("raw_transcription", "transcription"))
        self.check_choice("pairs", ("english", "all", "none"))

    def files_of(self, code: str) -> list[Path]:
        """Parquet files, the table if its audio is unpacked, or the archive of the audio."""
        parquet = find_parquet(Path(self.root), code, self.split)
        if parquet:
            return parquet
        for folder in (Path(self.root) / "data" / code, Path(self.root) / code):
            for split in split_spellings(self.split):
                archive = folder / "audio" / f"{split}.tar.gz"
                if (folder / f"{split}.tsv").is_file():
                    packed = archive.is_file() and not (folder / "audio" / split).is_dir()
                    return [archive if packed else folder / f"{split}.tsv"]
        return []

    def rows(self, path: Path, part: Part) -> Iterator[PlacedRow]:
        """Rows with the columns of the Parquet files."""
        if path.suffix == ".parquet":
            required, optional = ("id", "audio", self.text_column), ("path", "num_samples", "gender")
            yield from parquet_rows(path, part, required=required, optional=optional)
        elif path.suffix == ".tsv":
            for place, row in tsv_rows(path, part, names=_COLUMNS):
                if isinstance(row, dict):
                    row["audio"] = str(path.parent / "audio" / path.stem / row["file"])
                yield place, row
        else:
            table = path.parent.parent / path.name.replace(".tar.gz", ".tsv")
            yield from archived_rows(path, part, keyed_rows(table, "file", names=_COLUMNS))

    def records_of(self, row: Row, path: Path) -> Iterator[SpeechTextRecord | None]:
        """One record, with the versions of its sentence in other languages."""
        sentence, code = str(row["id"]), self.code_of(path)
        record_id = f"{sentence}/{recording_name(row['audio'], row.get('path'))}"
        try:
            stated = int(row["num_samples"]) / 16_000
        except (KeyError, TypeError, ValueError):
            stated = None
        yield self.record(
            id=record_id,
            lang=self.language_of(code),
            audio=row["audio"],
            text=row[self.text_column],
            translations=dict(self._translations(code, sentence)),
            duration_seconds=self.seconds_of(stated, row["audio"], record_id),
            extra={"sentence_id": sentence, "gender": row.get("gender")},
        )

    def _translations(self, code: str, sentence: str) -> Iterator[tuple[str, str]]:
        if self.pairs == "none":
            return
        others = ("en_us",) if self.pairs == "english" and code != "en_us" else tuple(self.aliases)
        for other in others:
            if other != code:
                texts = _texts_by_sentence(self.root, other, self.split, self.text_column)
                if sentence in texts:
                    yield self.aliases[other], texts[sentence]


@lru_cache(maxsize=256)
def _texts_by_sentence(root: str, code: str, split: str, column: str) -> dict[str, str]:
    """Number of a sentence -> its text in one language; a sentence with several recordings has one text."""
    texts: dict[str, str] = {}
    for path in FleursReader(root=root, split=split).files_of(code):
        if path.suffix == ".parquet":
            rows = parquet_rows(path, required=("id", column))
        else:
            table = path if path.suffix == ".tsv" else path.parent.parent / path.name.replace(".tar.gz", ".tsv")
            rows = tsv_rows(table, names=_COLUMNS)
        texts.update((str(row["id"]), row[column]) for _, row in rows if isinstance(row, dict) and row[column])
    return texts


CORPUS = Corpus.of_reader(
    FleursReader,
    tasks=("speech", "asr", "ast", "mt"),
    licence="CC-BY-4.0",
    redistributable_weights=True,
    citation=(
        "Conneau et al.: FLEURS: Few-shot Learning Evaluation of Universal Representations of Speech. SLT 2022."
    ),
    source="https://huggingface.co/datasets/google/fleurs",
    identifiers=("google/fleurs",),
    columns="id num_samples path audio transcription raw_transcription gender lang_id language lang_group_id".split(),
    paper_use="ASR and AST, 101 languages (A.1); 102 with English",
    # `pairs: english`
    translations={"en": tuple(lang for lang in FleursReader.aliases.values() if lang != "en")},
    paper_hours={"asr": 1400.0, "ast": 1400.0},
)
