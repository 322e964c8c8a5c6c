# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""prompts5: telephone prompts in five languages."""

from collections import defaultdict
from dataclasses import replace

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.manifest_shards import Folder, not_longer, read_split
from mu2slam_hf.data.manifests import ManifestColumns
from mu2slam_hf.data.records import SpeechTextRecord


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
        Records whose `translations` are the versions in the other languages, if the corpus marks them as
            equivalent (`mt` = 1).
    """
    if text_column not in ("text", "text_norm", "text_raw"):
        raise ValueError(f"`text_column` must be one of text, text_norm, text_raw; got {text_column!r}")
    records = read_split(root, split, columns=ManifestColumns(text=text_column), corpus="prompts5")
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
    return not_longer(parallel, max_duration_seconds)


CORPUS = Corpus(
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
)
