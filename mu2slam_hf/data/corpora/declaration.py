# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Declaration of a corpus: source, contents, licence and sizes."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from mu2slam_hf.data.corpora.reader import CorpusReader, language_aliases, read_all
from mu2slam_hf.data.records import SpeechTextRecord


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One known corpus.

    Attributes:
        name: name in recipes.
        load: `(root, split, **options) -> list[SpeechTextRecord]`.
        languages: canonical languages; those of the recordings, if there are any.
        tasks: tasks that it supports; `speech` and `text` are the unlabeled ones.
        licence: SPDX expression, or a description if there is none.
        redistributable_weights: whether weights trained on it may be distributed; None if unknown, which forbids it
            too.
        citation: required citation for published results.
        source: origin of the corpus.
        how_to_get: instructions for download, if `source` is not sufficient.
        layout: files that are read, below the folder of the corpus.
        identifiers: data sets on the Hub.
        codes: the corpus's own code of a language (name of a folder, file or column) -> canonical code.
        splits: names of its splits; `dev` and `validation` are understood for each other.
        columns: columns of its public schema.
        hours: canonical language -> hours of recordings, if known.
        hours_split: split that `hours` are of; those of other splits are unknown.
        translations: canonical language -> languages that each of its recordings is translated into; the others are
            translated into English only.
        documents: canonical language -> number of documents, if known; for temperature sampling without counting.
        sizes_source: source of `hours` and `documents`.
        paper_use: use in the paper, with the section.
        paper_hours: task -> hours by the paper.
        resource_groups: name of a group -> source languages, for means of translation into English as in the paper.
        reader: reader of its shards; None for corpora that are small enough for `load`.
        reader_options: options of the reader for the data of the paper.
    """

    name: str
    load: Callable[..., list[SpeechTextRecord]]
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    licence: str
    redistributable_weights: bool | None
    citation: str
    source: str
    how_to_get: str = ""
    layout: str = "<split>.tsv with audio/"
    identifiers: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ("train", "dev")
    columns: tuple[str, ...] = ()
    hours: Mapping[str, float] = field(default_factory=dict)
    hours_split: str = "train"
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    documents: Mapping[str, int] = field(default_factory=dict)
    sizes_source: str = ""
    paper_use: str = ""
    paper_hours: Mapping[str, float] = field(default_factory=dict)
    resource_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reader: type[CorpusReader] | None = None
    reader_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Options of `load` and their defaults."""
        if self.reader is not None:
            # `failures` is an object that counts; it has no value that could be written in a command.
            not_options = ("root", "split", "failures")
            return {item.name: item.default for item in fields(self.reader) if item.name not in not_options}
        parameters = inspect.signature(self.load).parameters.values()
        return {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}

    def declared_sizes(self, task: str, split: str) -> dict[str, float]:
        """Language -> hours of a split (documents for text), empty if they are unknown.

        Paper: A.1 counts 2.9k hours of CoVoST 2 for recognition and 9.5k for translation: in translation a recording
        counts once for each direction.
        """
        if task == "mt":
            return {}
        if task == "text":
            return {lang: float(number) for lang, number in self.documents.items()}
        if split != self.hours_split:
            return {}
        times = {lang: len(self.targets_of(lang)) if task == "ast" else 1 for lang in self.hours}
        return {lang: hours * times[lang] for lang, hours in self.hours.items()}

    def targets_of(self, lang: str) -> tuple[str, ...]:
        """Languages that the recordings in a language are translated into."""
        return self.translations.get(lang, ("en",))

    @classmethod
    def of_reader(cls, reader: type[CorpusReader], **facts: Any) -> "Corpus":
        """A corpus with the name, codes, splits and layout of its reader, and the reader's languages by default."""
        facts.setdefault("languages", tuple(dict.fromkeys(reader.aliases.values())))
        return cls(
            name=reader.name,
            load=partial(read_all, reader),
            reader=reader,
            codes=dict(reader.aliases),
            splits=reader.splits,
            layout=reader.layout,
            how_to_get=reader.how_to_get,
            **facts,
        )


def parse_sizes(table: str) -> dict[str, float]:
    """Parse `code:number` pairs separated by spaces into numbers by canonical language."""
    pairs = dict(entry.split(":") for entry in table.split())
    canonical = language_aliases(pairs)
    return {canonical[code]: float(number) for code, number in pairs.items()}
