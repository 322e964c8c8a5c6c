# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""parallel_text_docs: sentences of documentation in five languages, without recordings."""

from collections.abc import Sequence
from dataclasses import replace

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder
from mu2slam_hf.data.corpora.parallel_text import LANGUAGES, read_parallel_texts
from mu2slam_hf.data.records import SpeechTextRecord


def load_parallel_text_docs(
    root: Folder,
    split: str = "train",
    *,
    text_style: str = "norm",
    languages: str | Sequence[str] = LANGUAGES,
    max_characters: int | None = None,
) -> list[SpeechTextRecord]:
    """Rows of up to five parallel sentences of documentation.

    Args:
        root: the folder with `train.tsv.gz`.
        split: train; there is no other.
        text_style: norm (lower case without punctuation) or written (as in the file).
        languages: one or several of the languages.
        max_characters: texts with more characters are left out.

    Raises:
        FileNotFoundError: another split.
        ManifestError: missing file, or invalid row; the message has `file:line`.
        ValueError: unknown style or language.
    """
    if split != "train":
        raise FileNotFoundError(f"{root}: no split {split!r}; parallel_text_docs has train")
    records = read_parallel_texts(
        root,
        ["train.tsv.gz"],
        "parallel_text_docs",
        text_style=text_style,
        languages=languages,
        max_characters=max_characters,
    )
    return [replace(record, kind="docs") for record in records]


CORPUS = Corpus(
    name="parallel_text_docs",
    load=load_parallel_text_docs,
    languages=LANGUAGES,
    tasks=("mt",),
    licence="MPL-2.0 AND CC-BY-SA-3.0",
    redistributable_weights=True,
    citation="LibreOffice help (MPL-2.0); the Debian handbook and GNOME user documentation (CC-BY-SA-3.0).",
    source="https://www.libreoffice.org, https://debian-handbook.info, https://www.gnome.org",
    layout="train.tsv.gz",
    columns=("id", *LANGUAGES, "source"),
)
