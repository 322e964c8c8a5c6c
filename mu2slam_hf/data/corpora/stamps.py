# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""stamps: short descriptions of pictures, read by volunteers."""

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder, read_split
from mu2slam_hf.data.records import SpeechTextRecord


def load_stamps(
    root: Folder, split: str = "train", *, max_duration_seconds: float | None = None, max_check: float | None = None
) -> list[SpeechTextRecord]:
    """Short picture descriptions by volunteers in 13 locales, with texts in up to 38 languages.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        max_duration_seconds: longer clips are left out.
        max_check: clips whose `check` score is not below it are left out; -0.05 keeps those that match their text.
    """
    records = read_split(root, split, max_duration_seconds=max_duration_seconds, corpus="stamps")
    return [record for record in records if max_check is None or float(record.extra["check"]) < max_check]


CORPUS = Corpus(
    name="stamps",
    load=load_stamps,
    languages=("be", "bg", "ca", "da", "el", "en", "es", "fr", "ml", "nl", "pt-BR", "ro", "ru"),
    tasks=("asr", "ast", "mt"),
    licence="GPL-2.0-only",
    redistributable_weights=False,
    citation="Tux Paint stamps 2022.06.04, copyright 2002-2022 Bill Kendrick and contributors.",
    source="Debian package tuxpaint-stamps-default 2022.06.04-1",
)
