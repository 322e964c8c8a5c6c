# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
from collections import Counter
from pathlib import Path

import pytest
from public_schema import (
    TEXTS,
    Failures,
    sound,
    write_babel,
    write_common_voice,
    write_covost2,
    write_europarl_st,
    write_fleurs,
    write_mls,
    write_parquet,
    write_sound,
    write_table,
    write_voxpopuli,
    write_voxpopuli_unlabelled,
)

from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.corpora.registry import corpus_reader, load_corpus
from mu2slam_hf.data.table_files import ManifestError


def by_lang(records):
    return Counter(record.lang for record in records)


def texts_of(records):
    return [(record.lang, record.text) for record in records]


def assert_audio_is_as_long_as_stated(records):
    for record in records:
        assert len(load_audio(record.audio)) / 16_000 == pytest.approx(record.duration_seconds, abs=0.01)


@pytest.mark.parametrize("layout", ["original", "archives", "parquet"])
def test_voxpopuli(tmp_path, layout):
    root = write_voxpopuli(tmp_path, layout)
    records = load_corpus("voxpopuli", root, "train")
    assert by_lang(records) == {"en": 3, "de": 3, "fr": 3}
    english = [record for record in records if record.lang == "en"]
    assert [record.text for record in english] == ["madam president, thank you", 'he said "no" twice', None]
    assert english[0].id == "20120110-0900-PLENARY-0-en_20120110-17:12:30_0"
    assert english[0].speaker == "1000" and english[0].extra["gender"] == "female"
    assert_audio_is_as_long_as_stated(records)
    raw = load_corpus("voxpopuli", root, "validation", text_column="raw_text", languages=["de"])
    assert texts_of(raw) == [("de", text) for text in TEXTS["de"]]
    with pytest.raises(ValueError, match="normalized_text, raw_text"):
        load_corpus("voxpopuli", root, text_column="text")
    with pytest.raises(FileNotFoundError, match="split 'train' of 'it' is not in .*facebook/voxpopuli"):
        load_corpus("voxpopuli", root, languages=["it"])


def test_accented_english_of_voxpopuli_is_read_by_its_name_only(tmp_path):
    write_voxpopuli(tmp_path, languages=("en",))
    (tmp_path / "transcribed_data" / "en").rename(tmp_path / "transcribed_data" / "en_accented")
    with pytest.raises(FileNotFoundError):
        load_corpus("voxpopuli", tmp_path)
    records = load_corpus("voxpopuli", tmp_path, languages=["en_accented"])
    assert by_lang(records) == {"en": 3}


def test_unlabelled_voxpopuli_in_segments(tmp_path):
    root = write_voxpopuli_unlabelled(tmp_path)
    shards = corpus_reader("voxpopuli_unlabelled", root).shards()
    assert [Path(shard).relative_to(root).as_posix() for shard in shards[:2]] == [
        "unlabelled_data/de/2012",
        "unlabelled_data/de/2013",
    ]
    records = load_corpus("voxpopuli_unlabelled", root)
    assert by_lang(records) == {"de": 4, "en": 4, "pt": 4}
    assert {record.text for record in records} == {None} and not any(record.translations for record in records)
    assert_audio_is_as_long_as_stated(records)
    assert len(load_corpus("voxpopuli_unlabelled", root, parts=3)) == len(records)
    assert len(corpus_reader("voxpopuli_unlabelled", root, parts=3).shards()) == 18


@pytest.mark.parametrize("with_table", [True, False])
def test_unlabelled_voxpopuli_from_uncut_sessions(tmp_path, with_table):
    root = write_voxpopuli_unlabelled(tmp_path, "sessions", with_table=with_table)
    records = load_corpus("voxpopuli_unlabelled", root, segment_seconds=1.2, languages=["en"])
    first = [record for record in records if "20120117" in record.id]
    # 2.5 s: by the table 1.25 s and 0.75 s; without it two pieces of 1.2 s, and 0.1 s that are too short.
    expected = [1.25, 0.75] if with_table else [1.2, 1.2]
    assert [record.duration_seconds for record in first] == pytest.approx(expected)
    assert len(records) == 4
    assert_audio_is_as_long_as_stated(records)


@pytest.mark.parametrize("layout", ["original", "parquet"])
def test_mls(tmp_path, layout):
    root = write_mls(tmp_path, layout)
    records = load_corpus("mls", root)
    assert by_lang(records) == {"de": 3, "fr": 3, "es": 3}
    assert [record.duration_seconds for record in records] == pytest.approx([0.5] * 9)
    assert records[0].text == "frau präsidentin, vielen dank" and records[0].speaker == "4000"
    assert_audio_is_as_long_as_stated(records)
    assert by_lang(load_corpus("mls", root, "validation", languages=["german", "fr"])) == {"de": 3, "fr": 3}
    limited = load_corpus("mls", root, "10_hours", languages=["es"])
    nine, one = (load_corpus("mls", root, split, languages=["es"]) for split in ("9_hours", "1_hours"))
    assert {record.id for record in limited} == {record.id for record in [*nine, *one]}
    assert len(nine) == len(one) == (1 if layout == "original" else 3)
    with pytest.raises(ValueError, match="mls has no split '5_hours'; its splits are train, dev, test, 9_hours"):
        load_corpus("mls", root, "5_hours")


def test_lengths_of_mls_survive_lists_that_part_ways(tmp_path):
    root = write_mls(tmp_path, "original", ("german",))
    folder = tmp_path / "mls_german" / "train"
    lines = (folder / "segments.txt").read_text(encoding="utf-8").splitlines()
    (folder / "segments.txt").write_text("\n".join([lines[0], "another\tx\t0\t9", lines[2]]) + "\n", encoding="utf-8")
    assert [record.duration_seconds for record in load_corpus("mls", root)] == pytest.approx([0.5] * 3)
    (folder / "segments.txt").unlink()
    assert [record.duration_seconds for record in load_corpus("mls", root)] == pytest.approx([0.5] * 3)


@pytest.mark.parametrize("layout", ["original", "archives", "parquet"])
def test_common_voice(tmp_path, layout):
    root = write_common_voice(tmp_path, layout)
    records = load_corpus("common_voice", root)
    assert by_lang(records) == {"de": 3, "en": 3, "tr": 3, "zh": 3}
    assert texts_of(record for record in records if record.lang == "zh") == [("zh", text) for text in TEXTS["zh"]]
    assert records[0].speaker == "speaker" and records[0].id == "common_voice_de_100"
    assert records[0].extra["locale"] == "de"
    assert_audio_is_as_long_as_stated(records)
    assert len(load_corpus("common_voice", root, languages=["zh-CN"])) == 3
    if layout == "original":
        assert all(len(load_corpus("common_voice", root, split)) == 12 for split in ("validated", "other", "dev"))
        every = corpus_reader("common_voice", root, "all")
        assert len(list(every.records())) == 36, "validated, other and invalidated, which here have the same clips"


def test_common_voice_reads_any_locale_by_its_name(tmp_path):
    write_common_voice(tmp_path / "cv-corpus-4-2019-12-10", locales=("de",))
    assert by_lang(load_corpus("common_voice", tmp_path)) == {"de": 3}
    (tmp_path / "cv-corpus-4-2019-12-10" / "de").rename(tmp_path / "rm-vallader")
    with pytest.raises(FileNotFoundError, match="it has cv-corpus-4-2019-12-10/, rm-vallader/"):
        load_corpus("common_voice", tmp_path)
    assert by_lang(load_corpus("common_voice", tmp_path, languages=["rm-vallader"])) == {"rm": 3}
    with pytest.raises(ValueError, match="common_voice has no language '12'"):
        load_corpus("common_voice", tmp_path, languages=["12"])


def test_babel(tmp_path):
    root = write_babel(tmp_path)
    records = load_corpus("babel", root)
    assert by_lang(records) == {"tr": 6, "ta": 6}
    turkish = [record for record in records if record.lang == "tr" and "inLine" in record.id]
    assert [record.text for record in turkish] == ["alo nasılsın iyi evet", None, "alo nasılsın"]
    assert [(record.audio.start_seconds, record.audio.end_seconds) for record in turkish] == [
        (0.5, 1.5),
        (2.0, 3.0),
        (3.25, 3.9),
    ]
    assert turkish[0].speaker == "10033_inLine"
    assert turkish[0].extra["transcript"] == "<hes> alo nasılsın *iyi* evet- ~"
    assert_audio_is_as_long_as_stated(records)
    assert len(load_corpus("babel", root, "dev", languages=["105"])) == 6
    assert len(load_corpus("babel", root, "dev", languages=["Tamil"])) == 6
    with pytest.raises(FileNotFoundError, match="LDC2016S02"):
        load_corpus("babel", root, languages=["yue"])
    with pytest.raises(FileNotFoundError, match="Expected layout: "):
        load_corpus("babel", root, kind="scripted")


def test_babel_names_what_does_not_fit(tmp_path):
    root = write_babel(tmp_path, packs=("105",))
    folder = tmp_path / "IARPA_BABEL_BP_105" / "conversational" / "training"
    name = "BABEL_BP_105_10033_20111024_205740_inLine"
    (folder / "transcription" / f"{name}.txt").write_text("[2.0]\nalo\n[1.0]\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"{name}.txt:3: ends at 1 s, begins at 2 s"):
        load_corpus("babel", root)
    (folder / "audio" / f"{name}.sph").unlink()
    with pytest.raises(ManifestError, match=rf"no recording {name}.sph or .wav"):
        load_corpus("babel", root)


def test_covost2_joins_translations_with_common_voice(tmp_path):
    root = write_covost2(tmp_path)
    records = {record.key: record for record in load_corpus("covost2", root)}
    assert len(records) == 8  # two of three rows of four locales are train or train_covost
    english = records["covost2/en/common_voice_en_101"]
    assert english.text == TEXTS["en"][1] == 'He said "no" twice.'
    assert english.translations == {"de": TEXTS["de"][1], "zh": TEXTS["zh"][1], "ar": TEXTS["ar"][1]}
    assert records["covost2/zh/common_voice_zh-CN_100"].translations == {"en": TEXTS["en"][0]}
    assert_audio_is_as_long_as_stated(records.values())
    dev = {record.lang: record for record in load_corpus("covost2", root, "dev")}
    assert len(dev) == 4 and "ar" not in dev["en"].translations
    few = load_corpus("covost2", root, languages=["en"], targets=("de",))
    assert [set(record.translations) for record in few] == [{"de"}, {"de"}]


@pytest.mark.parametrize("layout", ["splits", "parquet"])
def test_covost2_in_its_other_layouts(tmp_path, layout):
    root = write_covost2(tmp_path, layout)
    records = load_corpus("covost2", root)
    if layout == "splits":
        whole = load_corpus("covost2", write_covost2(tmp_path / "original"))
        assert [(r.key, r.text, r.translations) for r in records] == [(r.key, r.text, r.translations) for r in whole]
        return
    # One record for each pair: three of each of six.
    assert by_lang(records) == {"de": 3, "en": 9, "fr": 3, "zh": 3}
    found = {record.id: dict(record.translations) for record in records if record.lang == "en"}
    assert found["common_voice_en_101_zh-CN"] == {"zh": TEXTS["zh"][1]}
    assert found["common_voice_en_102_ar"] == {}
    assert_audio_is_as_long_as_stated(records)


@pytest.mark.parametrize("layout", ["archives", "unpacked", "parquet"])
def test_fleurs(tmp_path, layout):
    root = write_fleurs(tmp_path, layout)
    records = load_corpus("fleurs", root)
    assert by_lang(records) == {"en": 4, "de": 4, "fr": 4, "zh": 4}
    assert Counter(record.extra["sentence_id"] for record in records) == {"1": 8, "2": 4, "3": 4}
    for record in records:
        sentence = int(record.extra["sentence_id"]) - 1
        assert record.text == TEXTS[record.lang][sentence]
        others = {"de", "fr", "zh"} if record.lang == "en" else {"en"}
        assert record.translations == {lang: TEXTS[lang][sentence] for lang in others}
    assert_audio_is_as_long_as_stated(records)
    all_pairs = load_corpus("fleurs", root, "dev", pairs="all", languages=["cmn_hans_cn"])
    assert all(set(record.translations) == {"en", "de", "fr"} for record in all_pairs)
    lower = load_corpus("fleurs", root, "validation", pairs="none", text_column="transcription", languages=["en"])
    assert not any(record.translations for record in lower)
    assert lower[0].text == TEXTS["en"][0].lower().strip(".")
    with pytest.raises(ValueError, match="`pairs` must be one of english, all, none"):
        load_corpus("fleurs", root, pairs="some")


def test_a_wrong_row_is_named_or_counted(tmp_path):
    root = write_voxpopuli(tmp_path, languages=("en",), splits=("train",))
    table = tmp_path / "transcribed_data" / "en" / "asr_train.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines[:2], "half\ta\trow", *lines[2:]]) + "\n", encoding="utf-8")
    broken = next((tmp_path / "transcribed_data").rglob("*PLENARY-2*.ogg"))
    broken.write_bytes(b"OggS broken")
    with pytest.raises(ManifestError, match=r"asr_train.tsv:3: expected 6 cells, got 3 \(starts with 'half'\)"):
        load_corpus("voxpopuli", root)
    failures = Failures()
    records = list(corpus_reader("voxpopuli", root, failures=failures).records())
    assert len(records) == failures.good == 2 and len(failures.reasons) == 2
    assert "asr_train.tsv:3" in failures.reasons[0]
    assert broken.stem in failures.reasons[1] and "asr_train.tsv:5" in failures.reasons[1]


def test_an_empty_cell_of_a_parquet_file_is_named(tmp_path):
    rows = [{"path": None, "audio": {"bytes": sound(), "path": "a.wav"}, "sentence": "eins"}]
    rows.append({"path": "b.mp3", "audio": None, "sentence": "zwei"})
    write_parquet(tmp_path / "de" / "train-00000-of-00001.parquet", rows)
    failures = Failures()
    reader = corpus_reader("common_voice", tmp_path, failures=failures)
    assert list(reader.records()) == []
    assert (
        "row 1: a cell does not fit" in failures.reasons[0]
        and "row 2: b: expected audio, got None" in failures.reasons[1]
    )


def test_a_file_that_breaks_off_is_counted_once(tmp_path):
    root = write_fleurs(tmp_path, codes=("en_us", "de_de"))
    archive = tmp_path / "data" / "en_us" / "audio" / "train.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-60])
    failures = Failures()
    with pytest.raises(ManifestError, match="train.tar.gz: cannot be read, or is truncated"):
        load_corpus("fleurs", root)
    records = list(corpus_reader("fleurs", root, failures=failures).records())
    assert len(failures.reasons) == 1 and by_lang(records)["de"] == 4


def test_recordings_longer_than_asked_are_left_out(tmp_path):
    root = write_common_voice(tmp_path, locales=("de",))
    write_sound(tmp_path / "de" / "clips" / "common_voice_de_102.mp3", 2.0)
    assert len(load_corpus("common_voice", root, max_duration_seconds=1.0)) == 2
    assert len(load_corpus("common_voice", root)) == 3


def test_the_same_id_twice_is_an_error(tmp_path):
    root = write_common_voice(tmp_path, locales=("de",))
    rows = [("path", "sentence"), *[("common_voice_de_100.mp3", "eins")] * 2]
    write_table(tmp_path / "de" / "train.tsv", rows)
    with pytest.raises(ManifestError, match=r"'common_voice_de_100' \(de\) occurs twice"):
        load_corpus("common_voice", root)
    assert json.dumps([record.text for record in corpus_reader("common_voice", root).records()]) == '["eins", "eins"]'


def test_europarl_st(tmp_path):
    root = write_europarl_st(tmp_path)
    records = load_corpus("europarl_st", root, "dev")
    assert by_lang(records) == {"de": 3, "en": 4}
    english = {record.id: record for record in records if record.lang == "en"}
    # The second segment has both translations; the first has another end in the French list.
    assert english["en.20081117.1.1-001_00001500_00002250"].translations == {
        "de": TEXTS["de"][1],
        "fr": TEXTS["fr"][1],
    }
    assert english["en.20081117.1.1-001_00000000_00000500"].translations == {"de": TEXTS["de"][0]}
    assert english["en.20081117.1.1-001_00000000_00000750"].translations == {"fr": TEXTS["fr"][0]}
    assert english["en.20081117.1.1-002_00001000_00003000"].text == TEXTS["en"][2]
    assert_audio_is_as_long_as_stated(records)
    assert len(load_corpus("europarl_st", root, "validation", languages=["de"])) == 3
    with pytest.raises(FileNotFoundError, match="split 'test' is not in .*www.mllp.upv.es"):
        load_corpus("europarl_st", root, "test")


def test_europarl_st_that_cannot_be_read(tmp_path):
    root = write_europarl_st(tmp_path)
    for path in (root / "en" / "audios").iterdir():
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(ManifestError, match=r"convert en.20081117.1.1-001.m4a: ffmpeg -i"):
        load_corpus("europarl_st", root, "dev", languages=["en"])
    failures = Failures()
    load_corpus("europarl_st", root, "dev", failures=failures)
    assert len(failures.reasons) == 4 and failures.good == 3
    segments = root / "de" / "en" / "dev" / "segments.en"
    segments.write_text(segments.read_text(encoding="utf-8") + "one more\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="got 3 in segments.lst, 3 in segments.de, 4 in segments.en"):
        load_corpus("europarl_st", root, "dev", languages=["de"])
