# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Readers of XNLI and TyDiQA-GoldP, on examples of their schemas."""

import gzip
import json

import pytest
from understanding_corpora import LABELS, question_tree, write_tydiqa, write_xnli

from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.data.table_files import ManifestError


def test_xnli(tmp_path):
    write_xnli(tmp_path)
    dev = load_corpus("xnli", tmp_path, "dev")
    train = load_corpus("xnli", tmp_path, "train", languages=["en", "es"])
    assert len(dev) == len(train) == 24
    for own, other in zip(sorted(dev, key=lambda r: r.key), sorted(train, key=lambda r: r.key), strict=True):
        assert (own.key, own.text, own.extra) == (other.key, other.text, other.extra)
    assert dev[1].text == "the sea" and dev[1].extra == {"hypothesis": "the sea the table", "gold_label": "neutral"}
    assert {record.extra["gold_label"] for record in dev} == set(LABELS)


def test_folds_of_xnli_keep_a_premise_in_all_languages_together(tmp_path):
    write_xnli(tmp_path)
    parts = [load_corpus("xnli", tmp_path, "dev", folds=[fold], num_folds=2) for fold in range(2)]
    ids = [{record.id for record in part} for part in parts]
    assert not ids[0] & ids[1] and sum(map(len, parts)) == 24
    for part in parts:
        premises = {record.text for record in part if record.lang == "en"}
        assert len(premises) == 2 and len(part) == 3 * 2 * 2
    with pytest.raises(ValueError, match="some of 0 to 1"):
        load_corpus("xnli", tmp_path, "dev", folds=[2], num_folds=2)
    assert load_corpus("xnli", tmp_path, "dev", except_folds=[1], num_folds=2) == parts[0]
    for wrong in ({"folds": [0], "except_folds": [1]}, {"except_folds": [0, 1]}):
        with pytest.raises(ValueError, match="except_folds"):
            load_corpus("xnli", tmp_path, "dev", num_folds=2, **wrong)


def test_faults_of_xnli(tmp_path):
    write_xnli(tmp_path)
    with pytest.raises(FileNotFoundError, match="xnli.test"):
        load_corpus("xnli", tmp_path, "test")
    with pytest.raises(ValueError, match="got \\['it'\\]"):
        load_corpus("xnli", tmp_path, "dev", languages="it")
    (tmp_path / "xnli.test.tsv").write_text(
        "language\tgold_label\tsentence1\tsentence2\tpairID\nen\t-\ta\tb\t1\n", encoding="utf-8"
    )
    with pytest.raises(ManifestError, match=r"xnli.test.tsv:2: gold_label must be one of .* got '-'"):
        load_corpus("xnli", tmp_path, "test")


def test_tydiqa(tmp_path):
    write_tydiqa(tmp_path)
    records = load_corpus("tydiqa", tmp_path, "train")
    assert len(records) == 8 and {record.lang for record in records} == {"en", "sw"}
    for record in records:
        (answer,) = record.extra["answers"]
        assert record.extra["context"][answer["answer_start"] :].startswith(answer["text"])
    parts = [load_corpus("tydiqa", tmp_path, "train", folds=[fold], num_folds=3) for fold in range(3)]
    assert sorted(r.key for part in parts for r in part) == sorted(r.key for r in records)


def test_blank_answers_of_tydiqa_are_no_answers(tmp_path):
    write_tydiqa(tmp_path, is_blank=True)
    assert all(record.extra["answers"] == [] for record in load_corpus("tydiqa", tmp_path, "dev"))


def test_repeated_ids_of_tydiqa_get_numbers(tmp_path):
    tree = question_tree("en", False)
    once = len([question for article in tree["data"] for part in article["paragraphs"] for question in part["qas"]])
    tree["data"] *= 3
    (tmp_path / "tydiqa.goldp.en.train.json").write_text(json.dumps(tree), encoding="utf-8")
    ids = [record.id for record in load_corpus("tydiqa", tmp_path, "train")]
    assert len(set(ids)) == len(ids) == 3 * once
    assert ids[once] == f"{ids[0]}~2" and ids[2 * once] == f"{ids[0]}~3"


def test_faults_of_tydiqa(tmp_path):
    with pytest.raises(FileNotFoundError, match="tydiqa.goldp.<language>.dev.json"):
        load_corpus("tydiqa", tmp_path, "dev")
    tree = question_tree("en")
    tree["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 1
    path = tmp_path / "tydiqa.goldp.en.dev.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(ManifestError, match="question 'en-0': the answer 'sea' is not at"):
        load_corpus("tydiqa", tmp_path, "dev")
    path.unlink()
    (tmp_path / "tydiqa.goldp.en.dev.json.gz").write_bytes(gzip.compress(b'{"data": [1]}'))
    with pytest.raises(ManifestError, match="as in SQuAD 1.1"):
        load_corpus("tydiqa", tmp_path, "dev")


@pytest.mark.parametrize(("name", "size"), [("xnli", 1323 * 15), ("tydiqa", 2568)])
def test_the_development_data_load_whole(data_root, name, size):
    records = load_corpus(name, data_root / name, "dev")
    assert len({record.key for record in records}) == len(records)
    assert len(records) == size
