# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sentences of plain text files, alone and with translations line by line."""

import gzip

import pytest

from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.file_parts import Part
from mu2slam_hf.data.manifests import ManifestError, read_manifest
from mu2slam_hf.data.shard_files import manifest_rows
from mu2slam_hf.recipes.data.records import read_corpus_table
from mu2slam_hf.recipes.schema.data import CorpusSource


def test_sentences_of_one_language(tmp_path):
    (tmp_path / "texts.txt").write_text("unu  doi\r\n\r\n\ufefftrei\n", encoding="utf-8")
    records = read_manifest(tmp_path / "texts.txt", lang="ro", corpus="c")
    assert [(r.key, r.text, r.audio) for r in records] == [
        ("c/ro/texts-1", "unu doi", None),
        ("c/ro/texts-3", "trei", None),
    ]
    with pytest.raises(ManifestError, match="no column for the language .*set `lang`"):
        read_manifest(tmp_path / "texts.txt")


@pytest.mark.parametrize("ending", ["", ".txt", ".gz", ".txt.gz"])
def test_translations_are_in_the_same_line_of_the_file_beside(tmp_path, ending):
    texts = {"ro": "unu\ndoi\n\ntrei", "en": "one\n\nnothing\nthree\n", "old": "unu", "fr_FR": "un\ndeux\n\ntrois\n"}
    for tag, text in texts.items():
        data = text.encode()
        (tmp_path / f"set.1.{tag}{ending}").write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    (tmp_path / "set.2.en").write_text("other\n")
    records = read_manifest(tmp_path / f"set.1.ro{ending}")
    assert [(r.id, r.lang, r.text, r.translations) for r in records] == [
        ("set.1-1", "ro", "unu", {"en": "one", "fr-FR": "un"}),
        ("set.1-2", "ro", "doi", {"fr-FR": "deux"}),
        ("set.1-4", "ro", "trei", {"en": "three", "fr-FR": "trois"}),
    ]


def test_files_with_different_numbers_of_lines_are_refused_with_both(tmp_path):
    (tmp_path / "set.ro").write_text("unu\ndoi\n")
    (tmp_path / "set.en").write_text("one\ntwo\n\n")
    with pytest.raises(ManifestError, match=r"set\.ro: has 2 lines, but set\.en beside it has 3; .*rename set\.en"):
        read_manifest(tmp_path / "set.ro")


def test_sentences_are_shards_of_a_stream(tmp_path):
    (tmp_path / "set.ro").write_text("unu\n\ndoi\ntrei\n")
    (tmp_path / "set.en").write_text("one\n\ntwo\nthree\n")
    part = Part()
    rows = [(part.position, row) for _, row in manifest_rows(tmp_path / "set.ro", part=part)]
    for number, (position, _) in enumerate(rows, start=1):
        rest = manifest_rows(tmp_path / "set.ro", part=Part(start=position))
        assert [row for _, row in rest] == [row for _, row in rows[number:]]
    reader = ManifestShardReader(corpus="c")
    assert [record.text for record in reader(tmp_path / "set.ro")] == ["unu", "doi", "trei"]
    assert set(reader.measure(tmp_path / "set.ro")) == {"ro"}


def test_a_corpus_of_a_recipe_may_be_files_of_sentences(tmp_path):
    (tmp_path / "set.ro").write_text("unu\ndoi\n")
    (tmp_path / "set.en").write_text("one\ntwo\n")
    (record, _) = read_corpus_table(CorpusSource(manifest=str(tmp_path / "set.ro")), "texts", "data.corpora.texts")
    assert (record.key, record.translations) == ("texts/ro/set-1", {"en": "one"})
    both = read_corpus_table(CorpusSource(manifest=str(tmp_path / "set.??")), "texts", "data.corpora.texts")
    assert sorted(record.key for record in both) == [
        "texts/en/set-1",
        "texts/en/set-2",
        "texts/ro/set-1",
        "texts/ro/set-2",
    ]
