# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The corpus is read by name, as a table and as shards of a stream."""

from pathlib import Path

from mu2slam_hf.data.corpora.registry import corpus_reader, load_corpus


def check(folder: Path) -> None:
    (folder / "eng.jsonl").write_text('{"id": 1, "text": "practice makes perfect"}\n{"id": 2, "text": "so be it"}\n')
    (folder / "fra.jsonl").write_text('{"id": 1, "text": "tout vient à point"}\n', encoding="utf-8")
    records = load_corpus("proverbs", folder)
    assert [(record.key, record.text) for record in records if record.lang == "fr"] == [
        ("proverbs/fr/1", "tout vient à point")
    ]
    assert len(records) == 3
    assert set(corpus_reader("proverbs", folder).shards_by_language()) == {"en", "fr"}
