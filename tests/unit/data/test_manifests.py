# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mu2slam_hf.data.audio import AudioSlice, load_audio
from mu2slam_hf.data.manifests import ManifestColumns, read_manifest, write_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError
from mu2slam_hf.data.tones import write_tone_corpus

ROWS = [
    {"id": "a", "audio": "x/a.wav", "text": "hello", "lang": "en", "duration_s": 1.5, "translations": {"fr": "salut"}},
    {
        "id": "b",
        "audio": "/abs/b.wav",
        "text": 'say "hi",\u2028now',
        "lang": "pt_BR",
        "duration_s": 2,
        "translations": {},
    },
]


def write_rows(path, rows=ROWS):
    if path.suffix == ".gz":
        plain = write_rows(path.with_suffix(""), rows)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        return path
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    elif path.suffix == ".parquet":
        flat = [row | {"translations": json.dumps(row["translations"])} for row in rows]
        pq.write_table(pa.Table.from_pylist(flat), path)
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        lines = [separator.join(rows[0])]
        for row in rows:
            cells = [json.dumps(cell) if isinstance(cell, dict) else str(cell) for cell in row.values()]
            if path.suffix == ".csv":
                cells = ['"' + cell.replace('"', '""') + '"' for cell in cells]
            lines.append(separator.join(cells))
        path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", ["m.tsv", "m.csv", "m.jsonl", "m.parquet", "m.tsv.gz", "m.csv.gz", "m.jsonl.gz"])
def test_all_formats_give_the_same_records(tmp_path, name):
    first, second = read_manifest(write_rows(tmp_path / name), corpus="c")
    assert (first.key, first.text, first.duration_seconds) == ("c/en/a", "hello", 1.5)
    assert first.audio == str(tmp_path / "x" / "a.wav")
    assert first.translations == {"fr": "salut"}
    assert (second.audio, second.lang, second.text) == ("/abs/b.wav", "pt-BR", 'say "hi", now')


def test_columns_by_mapping_and_by_language(tmp_path):
    path = tmp_path / "m.tsv"
    path.write_text("clip\twhat\tfr\ttext_raw\nc1.wav\thi\tsalut\tHI\n", encoding="utf-8")
    columns = ManifestColumns(audio="clip", text="what", text_by_lang={"fr": "fr"})
    (record,) = read_manifest(path, columns=columns, lang="eng")
    assert (record.id, record.lang, record.translations) == ("2", "en", {"fr": "salut"})
    assert record.extra == {"text_raw": "HI"}


def test_text_language_columns_need_no_mapping(tmp_path):
    path = tmp_path / "m.tsv"
    names = ["id", "locale", "sentence", "text_de", "text_norm", "text_raw", "text_it"]
    cells = ["a", "en", "hi", "hallo", "hi", "Hi", ""]
    path.write_text("\t".join(names) + "\n" + "\t".join(cells) + "\n", encoding="utf-8")
    (record,) = read_manifest(path)
    assert record.translations == {"de": "hallo"}
    assert record.extra == {"text_norm": "hi", "text_raw": "Hi"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("id\ttext\tlang\na\thi\ten\nb\thi\txq\n", (":3", "(id b)", "xq")),
        ("id\ttext\tlang\na\thi\ten\na\tho\ten\n", (":3", "'a'", "line 2")),
        ("id\ttext\tlang\na\thi\n", (":2", "expected 3 cells, got 2")),
        ("id\ttext\tlang\tduration\na\thi\ten\tlong\n", (":2", "number of seconds", "'long'")),
        ("id\ttext\tlang\ttranslations\na\thi\ten\t{oops\n", (":2", "not valid JSON")),
        ("id\ttext\tlang\ttranslations\na\thi\ten\t[1]\n", (":2", "object language -> text")),
        ('id\ttext\tlang\ttranslations\na\thi\ten\t{"fr": 3}\n', (":2", "translations[fr]")),
        ("id\ttext\ttext\na\thi\ten\n", (":1", "twice")),
        ("id\ttext\na\thi\n", ("language",)),
        ("id\tlang\na\ten\n", ("neither audio nor text",)),
        ("id\ttext\tlang\n", ("no rows",)),
        ("", ("no rows",)),
        ("id\ttext\tlang\na\t \ten\n", (":2", "must have `audio` or `text`")),
    ],
)
def test_errors_carry_file_line_and_reason(tmp_path, text, parts):
    path = tmp_path / "bad.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as error:
        read_manifest(path)
    for part in ("bad.tsv", *parts):
        assert part in str(error.value)


def test_other_faulty_files(tmp_path):
    with pytest.raises(ManifestError, match="no such manifest"):
        read_manifest(tmp_path / "none.tsv")
    with pytest.raises(ManifestError, match="it is a folder"):
        read_manifest(tmp_path)
    (tmp_path / "m.xlsx").write_text("x")
    with pytest.raises(ManifestError, match="unknown format"):
        read_manifest(tmp_path / "m.xlsx")
    with pytest.raises(ManifestError, match="no column 'nope' for `text`"):
        read_manifest(write_rows(tmp_path / "m.tsv"), columns=ManifestColumns(text="nope"))


def test_parquet_with_the_audio_inside(tmp_path):
    (record,) = read_manifest(write_tone_corpus(tmp_path, num_sentences=1, languages=("en",)))
    data = Path(record.audio).read_bytes()
    row = {"audio": {"bytes": data, "path": None}, "text": "a", "lang": "en", "translations": {"fr": "b", "de": None}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "inside.parquet")
    (inside,) = read_manifest(tmp_path / "inside.parquet")
    assert (load_audio(inside.audio) == load_audio(record.audio)).all()
    assert inside.translations == {"fr": "b"}


def test_parts_of_long_recordings(tmp_path):
    path = tmp_path / "tape.tsv"
    path.write_text(
        "audio\tlang\ttext\tstart\tend\tduration_s\ntape.wav\tmdw\tbana\t1.5\t4\t99\nclip.wav\tmdw\tbana\t\t\t2\n"
    )
    part, whole = read_manifest(path)
    assert part.audio == AudioSlice(str(tmp_path / "tape.wav"), 1.5, 4.0) and part.duration_seconds == 2.5
    assert whole.audio == str(tmp_path / "clip.wav") and whole.duration_seconds == 2.0
    assert part.extra == {}
    renamed = ManifestColumns(start_seconds="from_s", end_seconds="to_s")
    other = tmp_path / "other.tsv"
    other.write_text(path.read_text().replace("start\tend", "from_s\tto_s"))
    assert read_manifest(other, columns=renamed)[0].audio.end_seconds == 4.0


def test_times_may_have_a_decimal_comma(tmp_path):
    path = tmp_path / "tape.csv"
    path.write_text("audio;lang;text;start;end;duration\ntape.wav;mdw;bana;1,5;4;\nclip.wav;mdw;bana;;;2,25\n")
    part, whole = read_manifest(path)
    assert part.audio == AudioSlice(str(tmp_path / "tape.wav"), 1.5, 4.0) and whole.duration_seconds == 2.25


@pytest.mark.parametrize("times", ["1,000.5\t2000", "4\t1.5", "-1\t2", "\t2", "1\t", "nan\t2", "1\tinf", "1\tsoon"])
def test_times_that_are_no_part_of_a_recording(tmp_path, times):
    path = tmp_path / "tape.tsv"
    path.write_text(f"audio\tlang\ttext\tstart\tend\ntape.wav\tmdw\tbana\t{times}\n")
    with pytest.raises(ManifestError, match=r"tape\.tsv:2.*(start before the end|number of seconds)"):
        read_manifest(path)


def test_records_come_back_from_a_manifest(tmp_path):
    shared = {"lang": "mdw", "text": "bana “ndzo”", "corpus": "field"}
    records = [
        SpeechTextRecord(id="1", audio=str(tmp_path / "a.wav"), speaker="anna", duration_seconds=1.5, **shared),
        SpeechTextRecord(
            id="2",
            audio=AudioSlice(str(tmp_path / "tape.wav"), 1.25, 3.0),
            duration_seconds=1.75,
            translations={"fr": "les enfants\u2028de la maison"},
            **shared,
        ),
        SpeechTextRecord(id="3", translations={"fr": "rien"}, **shared),
    ]
    write_manifest(records, tmp_path / "train.jsonl")
    found = read_manifest(tmp_path / "train.jsonl", corpus="field")
    assert [replace(record, id=record.id.rpartition("/")[2]) for record in found] == [
        replace(record, translations={lang: " ".join(text.split()) for lang, text in record.translations.items()})
        for record in records
    ]
