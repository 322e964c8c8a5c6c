# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""parallel_text_docs: the rows of documentation, read as those of parallel_text."""

import gzip

import pytest

from mu2slam_hf.data.corpora.registry import load_corpus


@pytest.fixture
def root(tmp_path):
    rows = "id\ten\tes\tfr\tit\tru\tsource\nlo0\tFind Bar\t\t\tBarra Trova\t\tlibreoffice-help-7.4\n"
    (tmp_path / "train.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    return tmp_path


def test_rows_become_records_with_translations(root):
    records = load_corpus("parallel_text_docs", root)
    assert [(r.lang, r.text, dict(r.translations)) for r in records] == [
        ("en", "find bar", {"it": "barra trova"}),
        ("it", "barra trova", {"en": "find bar"}),
    ]
    assert {(r.corpus, r.kind) for r in records} == {("parallel_text_docs", "docs")}
    assert [r.text for r in load_corpus("parallel_text_docs", root, languages="en", text_style="written")] == [
        "Find Bar"
    ]


def test_there_is_no_other_split(root):
    with pytest.raises(FileNotFoundError, match="no split 'dev'; parallel_text_docs has train"):
        load_corpus("parallel_text_docs", root, "dev")
