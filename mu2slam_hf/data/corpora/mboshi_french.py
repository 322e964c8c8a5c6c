# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mboshi-French: speech in a language of the Congo with French translations."""

from typing import Any

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder, read_split
from mu2slam_hf.data.manifests import ManifestColumns
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.text import normalize_for_scoring


def load_mboshi_french(
    root: Folder,
    split: str = "train",
    *,
    clean_translation: bool = False,
    new_translations: bool = False,
    max_duration_seconds: float | None = None,
) -> list[SpeechTextRecord]:
    """Mboshi speech with its cleaned transcription and a French translation.

    Args:
        root: the folder with `train.tsv`, `dev.tsv` and `audio/`.
        split: train or dev.
        clean_translation: French in lower case with separated punctuation (`text_fr_clean`) instead of as written.
        new_translations: only clips whose translation, apart from punctuation and case, does not occur in train. The
            authors separated the Mboshi side only.
        max_duration_seconds: longer clips are left out.

    Raises:
        ValueError: `new_translations` of the split train.
    """
    french = "text_fr_clean" if clean_translation else "text_fr"
    columns = ManifestColumns(text="text_mb_clean", text_by_lang={"fr": french}, kind="source")
    options: dict[str, Any] = {"columns": columns, "lang": "mdw", "corpus": "mboshi_french"}
    records = read_split(root, split, max_duration_seconds=max_duration_seconds, **options)
    if not new_translations:
        return records
    if split == "train":
        raise ValueError("new_translations compares a split with train: choose another split")
    known = {normalize_for_scoring(record.translations["fr"]) for record in read_split(root, "train", **options)}
    return [record for record in records if normalize_for_scoring(record.translations["fr"]) not in known]


CORPUS = Corpus(
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
)
