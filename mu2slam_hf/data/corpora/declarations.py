# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What is said about a corpus: where it comes from, what is in it, what may be done with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mu2slam_hf.data.corpora.reader import CorpusReader
from mu2slam_hf.data.records import SpeechTextRecord


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One known corpus.

    Attributes:
        name: how recipes call it.
        load: `(root, split, **options) -> list[SpeechTextRecord]`.
        languages: canonical languages, of the recordings where there are some.
        tasks: what it can be used for, `speech` and `text` being the unlabeled uses.
        licence: SPDX expression, or what is known where there is none.
        redistributable_weights: whether weights trained on it may ship with the package; None where nobody can say,
            which forbids it too.
        citation: what anyone who publishes results must name.
        source: where it comes from.
        identifiers: data sets on the Hub.
        codes: the corpus's own code of a language (name of a folder, file or column) -> canonical code.
        splits: names of its splits; `dev` and `validation` are understood for each other.
        columns: columns of its public schema.
        hours: canonical language -> hours of recordings, where known.
        documents: canonical language -> number of documents, where known; for temperature sampling without counting.
        sizes_source: where `hours` and `documents` are taken from.
        paper_use: what the paper trains on it, with the section.
        paper_hours: task -> hours by the paper.
        reader: reads it shard by shard; None for corpora that are small enough for `load`.
        reader_options: options of the reader that make it what the paper uses.
    """

    name: str
    load: Callable[..., list[SpeechTextRecord]]
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    licence: str
    redistributable_weights: bool | None
    citation: str
    source: str
    identifiers: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ("train", "dev")
    columns: tuple[str, ...] = ()
    hours: Mapping[str, float] = field(default_factory=dict)
    documents: Mapping[str, int] = field(default_factory=dict)
    sizes_source: str = ""
    paper_use: str = ""
    paper_hours: Mapping[str, float] = field(default_factory=dict)
    reader: type[CorpusReader] | None = None
    reader_options: Mapping[str, Any] = field(default_factory=dict)
