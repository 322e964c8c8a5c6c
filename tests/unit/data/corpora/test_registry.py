# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.corpora.registry import CORPORA, corpus_reader, load_corpus
from mu2slam_hf.data.text import clean_text
from mu2slam_hf.models.language_codes import canonical_language

SIZES = {"prompts5": (1808, 391), "stamps": (3456, 482), "mboshi_french": (4616, 258), "gcompris_voices": (5722, 121)}


@pytest.mark.parametrize("name", SIZES)
def test_registered_corpora_load_whole(data_root, name):
    corpus = CORPORA[name]
    assert corpus.licence and corpus.citation and corpus.source
    assert all(canonical_language(lang) == lang for lang in corpus.languages)
    for split, size in zip(("train", "dev"), SIZES[name], strict=True):
        records = load_corpus(name, data_root / name, split)
        assert len({record.key for record in records}) == len(records) == size
        langs = {record.lang for record in records}
        assert langs == set(corpus.languages) if split == "train" else langs <= set(corpus.languages)
        assert all(record.text and record.duration_seconds and record.corpus == name for record in records)
        missing = [record.audio for record in records if not Path(record.audio).is_file()]
        assert not missing
    record = min(records, key=lambda record: record.duration_seconds)
    assert len(load_audio(record.audio)) / 16_000 == pytest.approx(record.duration_seconds, abs=0.01)


def test_prompts5_translations_are_the_parallel_versions(data_root):
    records = load_corpus("prompts5", data_root / "prompts5", text_column="text")
    rows = (data_root / "prompts5" / "parallel.tsv").read_text(encoding="utf-8").splitlines()
    header = rows[0].split("\t")
    parallel = {row.split("\t")[0]: dict(zip(header, row.split("\t"), strict=True)) for row in rows[1:]}
    for record in records:
        row = parallel[record.id]
        others = {lang: clean_text(row[lang]) for lang in ("en", "es", "fr", "it", "ru") if row[lang]}
        assert others.pop(record.lang) == record.text
        assert record.translations == (others if row["mt"] == "1" else {})


def test_prompts5_options(data_root):
    root = data_root / "prompts5"
    whole, short = load_corpus("prompts5", root), load_corpus("prompts5", root, max_duration_seconds=5.0)
    assert max(record.duration_seconds for record in short) <= 5.0
    by_key = {record.key: record for record in whole}
    assert all(by_key[record.key].translations == record.translations for record in short)
    assert all(record.text == record.text.lower() for record in whole)
    with pytest.raises(ValueError, match="text, text_norm"):
        load_corpus("prompts5", root, text_column="words")
    with pytest.raises(FileNotFoundError, match=r"'dev', 'parallel', 'train'"):
        load_corpus("prompts5", root, "test")
    with pytest.raises(ValueError, match="prompts5, stamps, mboshi_french"):
        load_corpus("prompts6", root)


def test_stamps_locales_and_check(data_root):
    records = load_corpus("stamps", data_root / "stamps", "dev", max_check=-0.05)
    assert 0 < len(records) < SIZES["stamps"][1]
    assert all(float(record.extra["check"]) < -0.05 for record in records)
    brazilian = [record for record in load_corpus("stamps", data_root / "stamps") if record.lang == "pt-BR"]
    assert len(brazilian) > 0
    assert all("pt-BR" not in record.translations and "zh-CN" in record.translations for record in brazilian[:3])


def test_mboshi_texts(data_root):
    records = load_corpus("mboshi_french", data_root / "mboshi_french", "dev")
    assert all(set(record.translations) == {"fr"} for record in records)
    clean = load_corpus("mboshi_french", data_root / "mboshi_french", "dev", clean_translation=True)
    assert records[0].translations != clean[0].translations
    assert {record.kind for record in records} == {"dico", "part"}


def test_options_of_loaders_and_readers():
    assert CORPORA["prompts5"].options == {"text_column": "text_norm", "max_duration_seconds": None}
    assert {"languages", "max_characters"} <= set(CORPORA["mc4"].options)
    assert not {"root", "split", "failures"} & set(CORPORA["mc4"].options)


def test_a_small_corpus_has_no_shards():
    with pytest.raises(ValueError, match="prompts5 is small and has no shards; read it as a table"):
        corpus_reader("prompts5", "anywhere")
