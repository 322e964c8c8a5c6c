# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import re
from collections import Counter

import pytest
from public_schema import TEXTS, write_gzip, write_mc4, write_table, write_ted59, write_wmt

from mu2slam_hf.data.corpora.mc4 import split_document
from mu2slam_hf.data.corpora.registry import corpus_reader, load_corpus
from mu2slam_hf.data.corpora.wmt import WMT_TASKS
from mu2slam_hf.data.table_files import ManifestError


def by_lang(records):
    return Counter(record.lang for record in records)


def squeezed(text):
    return re.sub(r"\s", "", text)


def test_mc4(tmp_path):
    root = write_mc4(tmp_path)
    reader = corpus_reader("mc4", root, max_characters=100)
    assert set(reader.shards_by_language()) == {"en", "de", "zh", "he"}
    assert all(len(shards) == 2 for shards in reader.shards_by_language().values())
    records = list(reader.records())
    assert {record.lang for record in records} == {"en", "de", "zh", "he"}
    assert all(16 <= len(record.text) <= 100 and record.audio is None for record in records)
    first = records[0]
    assert first.id == "c4-de.tfrecord-00000-of-00002:1:0" and first.extra == {"url": "https://example.com/0"}
    english = [record for record in records if record.id.startswith("c4-en.tfrecord-00000-of-00002:4:")]
    assert "".join(squeezed(record.text) for record in english) == squeezed("Menu" + "".join(TEXTS["en"]) + "end")
    validation = load_corpus("mc4", root, "validation", languages=["iw"])
    assert by_lang(validation) == {"he": len(validation)} and "validation" in validation[0].id
    assert load_corpus("mc4", root, "dev", languages=["he"]) == validation


def test_mc4_lies_at_the_top_as_well_and_says_what_is_missing(tmp_path):
    write_gzip(tmp_path / "c4-en.tfrecord-00000-of-11264.json.gz", '{"text": "One line of a page."}\n{"url": "x"}\n')
    with pytest.raises(ManifestError, match=r"json.gz:2: no column `text` with a string; the columns are line, url"):
        load_corpus("mc4", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"split 'train' of 'zh' is not in .*hf download allenai/c4"):
        load_corpus("mc4", tmp_path, languages=["zh"])
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_corpus("mc4", tmp_path / "gone")
    with pytest.raises(ValueError, match="must not exceed"):
        load_corpus("mc4", tmp_path, max_characters=5)


@pytest.mark.parametrize("max_characters", [1, 7, 30, 80, 10_000])
@pytest.mark.parametrize("lang", sorted(TEXTS))
def test_pieces_hold_the_whole_page_and_never_more_than_asked(lang, max_characters):
    page = "\n".join([*TEXTS[lang], "", " ".join(TEXTS[lang]) * 3, "x" * 100])
    pieces = list(split_document(page, lang, max_characters))
    assert max(map(len, pieces)) <= max_characters
    assert all(piece == piece.strip() and piece for piece in pieces)
    assert "".join(map(squeezed, pieces)) == squeezed(page)
    if max_characters == 10_000:
        assert len(pieces) == 1


def test_pieces_end_with_lines_then_sentences_then_words():
    page = "First line.\nSecond line. Another sentence here. And so on\nThird"
    assert list(split_document(page, "en", 23)) == [
        "First line.",
        "Second line.",
        "Another sentence here.",
        "And so on Third",
    ]
    assert list(split_document("one two three four", "en", 9)) == ["one two", "three", "four"]
    assert list(split_document("他说了。下一项是表决。好", "zh", 8)) == ["他说了。", "下一项是表决。好"]
    assert list(split_document(" \n\t\n", "en", 9)) == []


def test_wmt_reads_every_kind_of_file(tmp_path):
    root = write_wmt(tmp_path)
    records = load_corpus("wmt", root)
    assert by_lang(records) == {"de": 3, "zh": 3, "es": 3, "fr": 3, "ja": 3}
    for record in records:
        position = TEXTS["en"].index(record.translations["en"])
        assert record.text == TEXTS[record.lang][position] and len(record.translations) == 1
        assert record.id.startswith(f"{WMT_TASKS[record.lang]}/{record.lang}-en/")
    # Records with one id are taken for versions of one sentence: none may be shared.
    assert len({record.id for record in records}) == len(records)
    assert load_corpus("wmt", root, languages=["es"], parts=2)[0].id == "wmt13/es-en/europarl-v7.es-en.es:1"
    dev = load_corpus("wmt", root, "dev")
    assert by_lang(dev) == {"de": 3, "zh": 3, "es": 3}
    assert [record.text for record in dev if record.lang == "es"] == [f"{text} & co" for text in TEXTS["es"]]
    with pytest.raises(FileNotFoundError, match=r"split 'test' is not in .*it has wmt13/.*statmt.org"):
        load_corpus("wmt", root, "test")


def test_wmt_names_what_does_not_fit(tmp_path):
    root = write_wmt(tmp_path)
    twin = tmp_path / "wmt13" / "training" / "europarl-v7.es-en.en"
    twin.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"europarl-v7.es-en.en have different numbers of lines, from 3 on"):
        load_corpus("wmt", root, languages=["es"])
    rows = [("0.9", english, text, "en", "ja") for english, text in zip(TEXTS["en"], TEXTS["ja"], strict=True)]
    (tmp_path / "wmt20" / "news-commentary-v15.en-ja.tsv").unlink()
    write_table(tmp_path / "wmt20" / "WikiMatrix.v1.en-ja.langid.tsv", rows)
    with pytest.raises(ManifestError, match=r"5 columns; select the two .* `tsv_columns: \{WikiMatrix: \[i, j\]\}`"):
        load_corpus("wmt", root, languages=["ja"])
    records = load_corpus("wmt", root, languages=["ja"], tsv_columns={"WikiMatrix": [1, 2]})
    assert [record.text for record in records] == list(TEXTS["ja"])


@pytest.mark.parametrize("layout", ["original", "parquet"])
def test_ted59(tmp_path, layout):
    root = write_ted59(tmp_path, layout)
    records = load_corpus("ted59", root)
    pairs = Counter(lang for record in records for lang in record.translations)
    # Row 1 has no Arabic, row 2 no English; `pt` is taken from `pt-br`, where it is missing.
    assert pairs == {"ar": 1, "fa": 2, "pt": 2}
    assert all(record.lang == "en" and record.text in TEXTS["en"] for record in records)
    assert records[0].extra == {"talk_name": "talk_0"} and len({record.id for record in records}) == len(records)
    everything = load_corpus("ted59", root, "validation", pairs="all", languages=None)
    assert len(everything) == 2 and set(everything[0].translations) == {*TEXTS, "pt"} - {"en"}
    assert everything[0].translations["zh"] == TEXTS["zh"][0]
    chinese = load_corpus("ted59", root, languages=["zh"])
    assert [dict(record.translations) for record in chinese] == [{"zh": TEXTS["zh"][0]}, {"zh": TEXTS["zh"][1]}]
    with pytest.raises(ValueError, match="`pairs` must be one of english, all"):
        load_corpus("ted59", root, pairs="some")
    with pytest.raises(FileNotFoundError, match="ted_talks.tar.gz"):
        load_corpus("ted59", root, "test")


def test_shards_of_parallel_texts(tmp_path):
    shards = corpus_reader("wmt", write_wmt(tmp_path / "wmt")).shards()
    assert len(shards) == 5 and all("wmt" in shard for shard in shards)
    assert len(corpus_reader("ted59", write_ted59(tmp_path / "ted"), parts=4).shards()) == 4
