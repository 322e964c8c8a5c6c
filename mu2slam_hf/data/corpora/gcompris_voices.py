# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""gcompris_voices: single words, places and numbers by volunteers."""

from dataclasses import replace

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder, read_split
from mu2slam_hf.data.manifests import ManifestColumns
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring


def load_gcompris_voices(
    root: Folder,
    split: str = "train",
    *,
    text_column: str = "text_norm",
    free_licences: bool = False,
    max_duration_seconds: float | None = None,
) -> list[SpeechTextRecord]:
    """Single words, places and numbers in 14 languages, from the voices of GCompris.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev; no voice is in both.
        text_column: text_norm (lower case, no punctuation) or text; the English translations have the same style.
        free_licences: only recordings that may be used for weights under CC-BY-SA; the others are GPL.
        max_duration_seconds: longer clips are left out.

    Raises:
        FileNotFoundError: unknown split.
        ManifestError: invalid row; the message has `file:line`.
        ValueError: unknown column.
    """
    if text_column not in ("text", "text_norm"):
        raise ValueError(f"`text_column` must be text or text_norm; got {text_column!r}")
    columns = ManifestColumns(text=text_column)
    records = read_split(
        root, split, columns=columns, corpus="gcompris_voices", max_duration_seconds=max_duration_seconds
    )
    if free_licences:
        records = [record for record in records if not record.extra["licence"].startswith("GPL")]
    return [_normalized(record) for record in records] if text_column == "text_norm" else records


def _normalized(record: SpeechTextRecord) -> SpeechTextRecord:
    """The record with translations in the style of the column `text_norm`; the corpus has them as written only."""
    translations = {lang: normalize_for_scoring(text) for lang, text in record.translations.items()}
    return replace(record, translations={lang: text for lang, text in translations.items() if text})


CORPUS = Corpus(
    name="gcompris_voices",
    load=load_gcompris_voices,
    languages=("br", "de", "el", "en", "es", "fi", "fr", "gd", "nl", "pt", "pt-BR", "ro", "ru", "zh-CN"),
    tasks=("asr", "ast", "mt"),
    licence="GPL-3.0-or-later AND CC-BY-SA-3.0",
    redistributable_weights=False,
    citation="Voices of GCompris; en words: Art4Apps (CC-BY-SA); es words and letters: Smart4Kids.com (CC-BY-SA).",
    source="https://github.com/gcompris/GCompris-voices",
)
