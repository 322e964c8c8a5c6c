# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The corpora the package knows by name: where they come from, what may be done with them, and how they are read."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.data.corpora.declarations import Corpus
from mu2slam_hf.data.corpora.public import PUBLIC_CORPORA
from mu2slam_hf.data.corpora.reader import CorpusReader, build_reader
from mu2slam_hf.data.manifests import ManifestColumns, read_manifest
from mu2slam_hf.data.records import SpeechTextRecord

Folder = str | os.PathLike[str]


def load_prompts5(
    root: Folder, split: str = "train", *, text_column: str = "text_norm", max_duration_seconds: float | None = None
) -> list[SpeechTextRecord]:
    """Telephone prompts in en, es, fr, it, ru; n-way parallel by id.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        text_column: text_norm (lower case, no punctuation) or text; translations use the same column.
        max_duration_seconds: longer clips are left out (the longest has 86 s); their texts stay as translations.

    Returns:
        Records whose `translations` are the versions in the other languages, where the corpus says that they mean
        the same (`mt` = 1).
    """
    columns = ManifestColumns(text=_checked_choice("text_column", text_column, ("text", "text_norm", "text_raw")))
    records = read_manifest(_split_file(root, split), columns=columns, corpus="prompts5")
    versions: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        if record.extra["mt"] == "1" and record.text:
            versions[record.id][record.lang] = record.text
    parallel = [
        replace(record, translations={lang: text for lang, text in versions[record.id].items() if lang != record.lang})
        if record.extra["mt"] == "1"
        else record
        for record in records
    ]
    return _at_most(parallel, max_duration_seconds)


def load_stamps(
    root: Folder, split: str = "train", *, max_duration_seconds: float | None = None, max_check: float | None = None
) -> list[SpeechTextRecord]:
    """Short picture descriptions by volunteers in 13 locales, with texts in up to 38 languages.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        max_duration_seconds: longer clips are left out.
        max_check: clips whose `check` score is not below it are left out; -0.05 keeps those that say their text.
    """
    records = read_manifest(_split_file(root, split), corpus="stamps")
    if max_check is not None:
        records = [record for record in records if float(record.extra["check"]) < max_check]
    return _at_most(records, max_duration_seconds)


def load_mboshi_french(
    root: Folder, split: str = "train", *, clean_translation: bool = False, max_duration_seconds: float | None = None
) -> list[SpeechTextRecord]:
    """Mboshi speech with its cleaned transcription and a French translation.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        clean_translation: French in lower case with separated punctuation (`text_fr_clean`) instead of as written.
        max_duration_seconds: longer clips are left out.
    """
    french = "text_fr_clean" if clean_translation else "text_fr"
    columns = ManifestColumns(text="text_mb_clean", text_by_lang={"fr": french}, kind="source")
    records = read_manifest(_split_file(root, split), columns=columns, lang="mdw", corpus="mboshi_french")
    return _at_most(records, max_duration_seconds)


CORPORA: dict[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="prompts5",
            load=load_prompts5,
            languages=("en", "es", "fr", "it", "ru"),
            tasks=("asr", "ast", "mt"),
            licence="CC-BY-SA-3.0 AND CC-BY-3.0",
            redistributable_weights=True,
            citation=(
                "Asterisk core sounds 1.6.1. Voices: Allison Smith (en, es), June Wallack (fr), CC-BY-SA-3.0; "
                "Carlo Flora (it), Maxim Topal (ru), CC-BY-3.0."
            ),
            source="Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-wav 1.6.1-1",
        ),
        Corpus(
            name="stamps",
            load=load_stamps,
            languages=("be", "bg", "ca", "da", "el", "en", "es", "fr", "ml", "nl", "pt-BR", "ro", "ru"),
            tasks=("asr", "ast", "mt"),
            licence="GPL-2.0-only",
            redistributable_weights=False,
            citation="Tux Paint stamps 2022.06.04, copyright 2002-2022 Bill Kendrick and contributors.",
            source="Debian package tuxpaint-stamps-default 2022.06.04-1",
        ),
        Corpus(
            name="mboshi_french",
            load=load_mboshi_french,
            languages=("mdw",),
            tasks=("asr", "ast", "mt"),
            licence="no licence file; for research, with the citation",
            redistributable_weights=False,
            citation=(
                "Godard et al.: A Very Low Resource Language Speech Corpus for Computational Language Documentation "
                "Experiments. CoRR abs/1710.03501, 2017; LREC 2018."
            ),
            source="https://github.com/besacier/mboshi-french-parallel-corpus, commit 83c5b428a825",
        ),
    )
} | PUBLIC_CORPORA


def load_corpus(name: str, root: Folder, split: str = "train", **options: Any) -> list[SpeechTextRecord]:
    """Records of a corpus by its name; options are those of its loader, or of its reader (`corpus_reader`)."""
    return _corpus(name).load(root, split, **options)


@dataclass(frozen=True, kw_only=True)
class WholeCorpusReader:
    """A small corpus read as one shard: its manifest."""

    name: str
    root: str
    split: str = "train"
    options: dict[str, Any] = field(default_factory=dict)

    def shards(self) -> list[str]:
        """The manifest of the split."""
        return [str(_split_file(self.root, self.split))]

    def __call__(self, shard: str) -> Iterator[SpeechTextRecord]:
        """Its records."""
        yield from load_corpus(self.name, Path(shard).parent, Path(shard).stem, **self.options)

    def records(self) -> Iterator[SpeechTextRecord]:
        """All records of the split."""
        for shard in self.shards():
            yield from self(shard)


def corpus_reader(name: str, root: Folder, split: str = "train", **options: Any) -> CorpusReader | WholeCorpusReader:
    """A picklable reader of a corpus: `reader.shards()` lists strings, `reader(shard)` iterates over records.

    Args:
        name: one of `CORPORA`.
        root: folder of the corpus.
        split: train, ...
        options: of the corpus; all public ones take `languages`, `max_duration_seconds`, `parts` and `failures`
            (see `CorpusReader`).
    """
    corpus = _corpus(name)
    if corpus.reader is None:
        return WholeCorpusReader(name=name, root=str(root), split=split, options=options)
    return build_reader(corpus.reader, root, split, **options)


def corpus_shards(name: str, root: Folder, split: str = "train", **options: Any) -> list[str]:
    """Shards of a split, to be read one by one by `corpus_reader(name, root, split, **options)`."""
    return corpus_reader(name, root, split, **options).shards()


def iter_corpus(name: str, root: Folder, split: str = "train", **options: Any) -> Iterator[SpeechTextRecord]:
    """Records of a split one at a time, for corpora that do not fit into memory."""
    return corpus_reader(name, root, split, **options).records()


def _corpus(name: str) -> Corpus:
    return CORPORA[_checked_choice("corpus", name, tuple(CORPORA))]


def _split_file(root: Folder, split: str) -> Path:
    path = Path(root) / f"{split}.tsv"
    if not path.is_file():
        there = sorted(found.stem for found in Path(root).glob("*.tsv")) or "no .tsv at all"
        raise FileNotFoundError(f"{path}: no such split; in that folder: {there}")
    return path


def _checked_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}; got {value!r}")
    return value


def _at_most(records: list[SpeechTextRecord], max_duration_seconds: float | None) -> list[SpeechTextRecord]:
    if max_duration_seconds is None:
        return records
    return [record for record in records if (record.duration_seconds or 0.0) <= max_duration_seconds]
