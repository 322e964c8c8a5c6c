# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The corpora of the package by name. A new corpus has its own file and an entry in the list below."""

from typing import Any

from mu2slam_hf.data.corpora import (
    babel,
    common_voice,
    covost2,
    europarl_st,
    fleurs,
    gcompris_voices,
    mboshi_french,
    mc4,
    mls,
    parallel_text,
    prompts5,
    stamps,
    ted59,
    tydiqa,
    voices,
    voxpopuli,
    voxpopuli_unlabelled,
    wmt,
    xnli,
)
from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder
from mu2slam_hf.data.corpora.reader import CorpusReader, build_reader
from mu2slam_hf.data.records import SpeechTextRecord

_FILES = (
    *(prompts5, stamps, mboshi_french, gcompris_voices, voices, parallel_text),
    # Those that the paper trains on. Paper: section 3.1 and appendix A.1.
    *(voxpopuli_unlabelled, voxpopuli, mls, common_voice, babel, covost2, fleurs, mc4, wmt, ted59),
    # For evaluation; not in the paper.
    europarl_st,
    # Text understanding. Paper: section 3.4.
    *(xnli, tydiqa),
)
CORPORA: dict[str, Corpus] = {file.CORPUS.name: file.CORPUS for file in _FILES}
"""Name -> declaration."""


def find_corpus(name: str) -> Corpus:
    """A corpus by its name.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in CORPORA:
        raise ValueError(f"`corpus` must be one of {', '.join(CORPORA)}; got {name!r}")
    return CORPORA[name]


def load_corpus(name: str, root: Folder, split: str = "train", **options: Any) -> list[SpeechTextRecord]:
    """Records of a corpus by its name; options are those of its loader, or of its reader (`corpus_reader`)."""
    return find_corpus(name).load(root, split, **options)


def corpus_reader(name: str, root: Folder, split: str = "train", **options: Any) -> CorpusReader:
    """A picklable reader of a corpus: `reader.shards()` lists strings, `reader(shard)` iterates over records.

    Args:
        name: one of `CORPORA`.
        root: folder of the corpus.
        split: train, ...
        options: options of the corpus; all support `languages`, `max_duration_seconds`, `parts` and `failures` (see
            `CorpusReader`).

    Raises:
        ValueError: unknown name or option, or a small corpus without shards.
    """
    corpus = find_corpus(name)
    if corpus.reader is None:
        raise ValueError(f"{name} is small and has no shards; read it as a table")
    return build_reader(corpus.reader, root, split, **options)
