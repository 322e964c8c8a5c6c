# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The same recordings in every format give the same records; what cannot be read is reported, the rest is used."""

import json
import shutil
import unicodedata

import pytest
from field_recordings import (
    LINES,
    Line,
    write_clips,
    write_elan,
    write_subtitles,
    write_tape,
    write_textgrid,
)

from mu2slam_hf.adaptation.reading.data_source import read_data
from mu2slam_hf.adaptation.reading.options import ReadingOptions
from mu2slam_hf.data.audio import AudioSlice, load_audio

OPTIONS = ReadingOptions(lang="mdw", target_langs=("fr",))


def found(data, kind):
    return [finding for finding in data.findings if finding.kind == kind]


@pytest.fixture
def folder(tmp_path):
    """A folder with a tape of 10 s."""
    write_tape(tmp_path / "field" / "tape.wav")
    return tmp_path / "field"


def write_annotations(folder, kind):
    if kind == "elan":
        write_elan(folder / "tape.eaf", {"mdw": LINES})
    elif kind == "textgrid":
        write_textgrid(folder / "tape.TextGrid", LINES)
    elif kind == "textgrid in UTF-16":  # what Praat writes
        write_textgrid(folder / "tape.TextGrid", LINES, encoding="utf-16")
    else:
        write_subtitles(folder, "tape", LINES, f".{kind}")


@pytest.mark.parametrize("kind", ["elan", "textgrid", "textgrid in UTF-16", "srt", "vtt"])
def test_all_formats_of_one_annotation_give_equal_records(folder, kind):
    write_annotations(folder, kind)
    data = read_data(folder, OPTIONS)
    assert data.findings == []
    assert [(record.text, record.translations.get("fr")) for record in data.records] == [
        (line.text, line.french) for line in LINES
    ]
    for record, line in zip(data.records, LINES, strict=True):
        assert record.audio == AudioSlice(str(folder / "tape.wav"), line.start, line.end)
        assert record.duration_seconds == line.end - line.start
        assert record.id == f"tape@{line.start:.3f}-{line.end:.3f}"
        assert (record.lang, record.corpus, record.speaker, record.extra) == (
            "mdw",
            "field",
            None,
            {"session": "tape"},
        )
    assert len(load_audio(data.records[0].audio)) == 1.75 * 16_000


def test_rows_of_a_table_with_times_cut_the_tape_too(folder):
    rows = ["audio\tstart\tend\ttranscription\ttext_fr\tspeaker\tnote"]
    rows += [f"tape.wav\t{one.start}\t{one.end}\t{one.text}\t{one.french or ''}\tAnna\tx" for one in LINES]
    (folder / "list.tsv").write_text("\n".join(rows), encoding="utf-8")
    data = read_data(folder, OPTIONS)
    assert [record.audio.start_seconds for record in data.records] == [line.start for line in LINES]
    assert [record.translations.get("fr") for record in data.records] == [line.french for line in LINES]
    assert {record.speaker for record in data.records} == {"Anna"}
    assert data.records[0].extra == {"note": "x", "session": "tape"}
    assert data.places[data.records[1].key] == f"{folder / 'list.tsv'}:3"


def test_speakers_of_elan_are_participants_with_a_translation_of_their_own(folder):
    other = [Line(2.0, 3.0, "bana", "les enfants")]
    write_elan(folder / "tape.eaf", {"tx@Anna": LINES[:1], "tx@Ben": other})
    records = read_data(folder, OPTIONS).records
    assert [(record.speaker, record.text, record.translations["fr"]) for record in records] == [
        ("Anna", LINES[0].text, LINES[0].french),
        ("Ben", "bana", "les enfants"),
    ]


def test_one_translation_tier_of_two_speakers(folder):
    lines = [Line(0.5, 2.0, "les enfants"), Line(2.5, 4.0, "il a vu"), Line(8.0, 9.0, "personne")]
    speakers = {"tx@Anna": [Line(0.5, 2.0, "bana")], "tx@Ben": [Line(2.5, 4.0, "wa mísi")]}
    write_elan(folder / "tape.eaf", speakers | {"french": lines})
    data = read_data(folder, OPTIONS)
    assert [record.translations for record in data.records] == [{"fr": "les enfants"}, {"fr": "il a vu"}]
    (finding,) = data.findings
    assert finding.kind == "unmatched_translation" and finding.message.startswith("'personne' fits no utterance")


def test_broken_subtitles_of_a_translation_leave_the_transcript(folder):
    write_subtitles(folder, "tape", LINES)
    (folder / "tape.fr.srt").write_text("nothing")
    data = read_data(folder, OPTIONS)
    assert len(data.records) == len(LINES)
    assert [finding.place for finding in data.findings] == [str(folder / "tape.fr.srt")]


def test_an_elan_annotation_without_text_is_speech_without_text(folder):
    write_elan(folder / "tape.eaf", {"mdw": [LINES[0], Line(5.0, 6.0, "")]})
    first, second = read_data(folder, OPTIONS).records
    assert first.text == LINES[0].text and second.text is None and second.audio.start_seconds == 5.0


def test_an_elan_file_finds_its_recording_by_its_link_and_shifts_by_its_origin(folder):
    (folder / "annotations").mkdir()
    write_elan(folder / "annotations" / "anna_final.eaf", {"mdw": LINES[:1]}, media="tape.wav", origin=250)
    (record,) = read_data(folder, OPTIONS).records
    assert record.audio == AudioSlice(str(folder / "tape.wav"), 0.75, 2.5)


def test_an_elan_file_with_a_broken_origin_gives_way_to_subtitles(folder):
    write_elan(folder / "tape.eaf", {"mdw": LINES[:1]}, media="tape.wav", origin="a quarter")
    write_subtitles(folder, "tape", LINES[1:2])
    data = read_data(folder, OPTIONS)
    assert [record.text for record in data.records] == [LINES[1].text]
    (finding,) = found(data, "unreadable_file")
    assert finding.place == str(folder / "tape.eaf") and "take the last backup" in finding.message


def test_annotations_in_another_folder_belong_to_the_recording_of_their_name(folder):
    (folder / "praat").mkdir()
    write_textgrid(folder / "praat" / "tape.TextGrid", LINES)
    assert len(read_data(folder, OPTIONS).records) == len(LINES)


def test_clips_with_texts_and_translations(tmp_path):
    write_clips(
        tmp_path / "day1" / "audio", {"anna_1": " Bana \n ba ngá ", "anna_2": "mwana"}, anna_1="les enfants", ben_9="?"
    )
    write_tape(tmp_path / "day1" / "audio" / "ben_3.wav", 2.0)
    (tmp_path / "day1" / "audio" / "anna_2.en.txt").write_text("child")
    data = read_data(tmp_path, OPTIONS)
    assert [(r.id, r.text, r.translations, r.speaker, r.extra["session"]) for r in data.records] == [
        ("day1/audio/anna_1", "Bana ba ngá", {"fr": "les enfants"}, "anna", "day1"),
        ("day1/audio/anna_2", "mwana", {}, "anna", "day1"),
        ("day1/audio/ben_3", None, {}, "ben", "day1"),
    ]
    assert data.other_translations == {"en": 1}
    (orphan,) = found(data, "no_recording")
    assert orphan.place.endswith("ben_9.fr.txt")


@pytest.mark.parametrize(
    ("source", "speakers"),
    [("auto", ["anna", None]), ("file", ["anna", "rec"]), ("folder", ["x", "x"]), ("none", [None, None])],
)
def test_where_speakers_come_from(tmp_path, source, speakers):
    write_clips(tmp_path / "x", {"anna_1": "a", "rec_1": "b"})
    options = ReadingOptions(lang="mdw", speaker_from=source)
    assert [record.speaker for record in read_data(tmp_path, options).records] == speakers


def test_the_best_annotation_is_used_and_a_broken_one_gives_way(folder):
    write_textgrid(folder / "tape.TextGrid", LINES)
    (folder / "tape.eaf").write_text("<ANNOTATION_DOCUMENT><TIER>", encoding="utf-8")
    (folder / "tape.txt").write_text("all of it", encoding="utf-8")
    data = read_data(folder, OPTIONS)
    assert len(data.records) == len(LINES)
    (broken,) = found(data, "unreadable_file")
    assert broken.place == str(folder / "tape.eaf") and "ELAN" in broken.message


def test_accents_of_file_names_may_be_written_in_two_ways(tmp_path):
    write_tape(tmp_path / unicodedata.normalize("NFD", "ngá_1.wav"))
    (tmp_path / unicodedata.normalize("NFC", "ngá_1.txt")).write_text("mwana")
    (record,) = read_data(tmp_path, OPTIONS).records
    assert (record.text, record.id) == ("mwana", unicodedata.normalize("NFC", "ngá_1"))


def test_empty_texts_are_reported_and_their_recordings_kept(tmp_path):
    write_clips(tmp_path, {"a": " \n", "b": "mwana"})
    data = read_data(tmp_path, OPTIONS)
    assert [(finding.kind, finding.place) for finding in data.findings] == [("empty_text", str(tmp_path / "a.txt"))]
    assert [record.text for record in data.records] == [None, "mwana"]
    (tmp_path / "list.csv").write_text("audio,text\na.wav,\nb.wav,mwana\n")
    data = read_data(tmp_path, OPTIONS)
    assert [(finding.kind, finding.place) for finding in data.findings] == [
        ("empty_text", f"{tmp_path / 'list.csv'}:2")
    ]


def test_a_recording_in_two_formats_is_one_recording(folder):
    write_tape(folder / "tape.flac")
    (folder / "tape.txt").write_text("bana", encoding="utf-8")
    data = read_data(folder, OPTIONS)
    assert [record.audio for record in data.records] == [str(folder / "tape.wav")]
    assert [finding.place for finding in data.findings] == [str(folder / "tape.flac")]


def test_five_broken_rows_are_reported_by_line_and_the_rest_is_used(tmp_path):
    write_tape(tmp_path / "a.wav", 3.0)
    rows = [
        "id\taudio\ttext\tlang\tstart\tend\tduration_s",
        "one\ta.wav\tmwana\tmdw\t\t\t",
        "two\ta.wav\tone cell too many\tmdw\t\t\t\t",
        "three\ta.wav\tbana\tklingonian\t\t\t",
        "four\ta.wav\tbana\tmdw\t2.5\t1.0\t",
        "five\ta.wav\tbana\tmdw\t\t\tthree seconds",
        "one\ta.wav\tmwana\tmdw\t\t\t",
        "six\ta.wav\tbana\tmdw\t1.0\t2.5\t",
        "seven\t\t\tmdw\t\t\t",
        "eight\ta.wav\tchild\ten\t\t\t",
    ]
    (tmp_path / "list.tsv").write_text("\n".join(rows), encoding="utf-8")
    data = read_data(tmp_path, OPTIONS)
    assert [record.id for record in data.records] == ["one", "six"]
    lines = {finding.place.partition("list.tsv:")[2].split(" ")[0]: finding for finding in data.findings}
    assert sorted(lines) == ["10", "3", "4", "5", "6", "7", "9"]
    assert "expected 7 cells, got 8" in lines["3"].message
    assert "klingonian" in lines["4"].message
    assert "start before the end" in lines["5"].message
    assert "three seconds" in lines["6"].message
    assert lines["7"].kind == "repeated_recording" and "list.tsv:2" in lines["7"].message
    assert "audio` or `text" in lines["9"].message
    assert lines["10"].kind == "other_language"


def test_broken_annotations_are_reported_by_their_place(folder):
    write_elan(folder / "tape.eaf", {"mdw": LINES})
    content = (folder / "tape.eaf").read_text(encoding="utf-8")
    content = content.replace('TIME_VALUE="4000"', 'TIME_VALUE="2000"').replace(' TIME_VALUE="9875"', "")
    (folder / "tape.eaf").write_text(content, encoding="utf-8")
    data = read_data(folder, OPTIONS)
    assert [record.text for record in data.records] == [LINES[0].text, LINES[2].text]
    places = [finding.place for finding in found(data, "broken_row")]
    assert f"{folder / 'tape.eaf'}, tier 'mdw', 00:00:02.500" in places
    assert any("has no time" in finding.message for finding in data.findings)


def test_broken_subtitles_are_reported_by_line(folder):
    write_subtitles(folder, "tape", LINES)
    path = folder / "tape.srt"
    content = path.read_text(encoding="utf-8").split("\n")
    content[5] = "00:00:02 -> --> nothing"
    content[9] = "00:00:06,500 --> 00:00:04,125"
    path.write_text("\n".join(content), encoding="utf-8")
    data = read_data(folder, ReadingOptions(lang="mdw"))
    assert [record.text for record in data.records] == [LINES[0].text, LINES[3].text]
    assert sorted(finding.place for finding in found(data, "broken_row")) == [f"{path}:10", f"{path}:6"]


def test_marks_of_subtitles_are_removed_and_voices_are_speakers(folder):
    (folder / "tape.vtt").write_text(
        "WEBVTT\n\nSTYLE\n::cue {}\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v Anna>ngá &amp; <i>mwε</i>\n\n"
        "NOTE not spoken\nat all\n\n00:00:03.000 --> 00:00:04.500\nbana\nba\n",
        encoding="utf-8",
    )
    first, second = read_data(folder, ReadingOptions(lang="mdw")).records
    assert (first.text, first.speaker, second.text, second.speaker) == ("ngá & mwε", "Anna", "bana ba", None)


def test_a_text_in_another_encoding_is_reported_with_its_line_and_can_be_read(tmp_path):
    write_clips(tmp_path, {"a": "x", "b": "mwana"})
    (tmp_path / "a.txt").write_bytes("première ligne\nmísi".encode("cp1252"))
    data = read_data(tmp_path, OPTIONS)
    (finding,) = data.findings
    assert finding.kind == "unreadable_file" and finding.place == f"{tmp_path / 'a.txt'}:1"
    assert "première" in finding.message and "--encoding cp1252" in finding.message
    assert [record.text for record in data.records] == [None, "mwana"]
    data = read_data(tmp_path, ReadingOptions(lang="mdw", encoding="cp1252"))
    assert [record.text for record in data.records] == ["première ligne mísi", "mwana"]


def test_tiers_that_are_not_clear_are_listed(folder):
    write_elan(folder / "tape.eaf", {"Anna says": [LINES[0]], "something": [Line(1, 2, "x")]})
    with pytest.raises(ValueError, match=r"none is clearly the transcript in mdw: 'Anna says' \(1 annotations, 'ngá"):
        read_data(folder, OPTIONS)
    data = read_data(folder, ReadingOptions(lang="mdw", tiers=("anna says",)))
    assert [record.text for record in data.records] == [LINES[0].text]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,text\nx,y\n", "no column with the recordings, such as audio; its columns are name, text"),
        ("", "has no rows"),
        ("audio,text\n", "has no rows"),
        ("audio,text,text\na.wav,x,y\n", "the column name 'text' occurs twice; rename one of them"),
        (f'audio,text\na.wav,"{"x" * 140_000}\n', "check that every quote in this row and above is closed"),
    ],
)
def test_a_table_that_is_no_manifest_says_what_is_missing(tmp_path, content, message):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(ValueError, match=f"list.csv:.*{message}"):
        read_data(tmp_path / "list.csv", OPTIONS)
    write_clips(tmp_path, {"a": "mwana"})
    data = read_data(tmp_path, OPTIONS)
    (finding,) = data.findings
    assert len(data.records) == 1 and finding.place.startswith(str(tmp_path / "list.csv"))
    assert finding.kind == ("unclear_columns" if "no column" in message else "unreadable_file")


def test_a_table_of_a_spreadsheet_with_semicolons_and_decimal_commas(tmp_path):
    write_tape(tmp_path / "tape.wav")
    (tmp_path / "list.csv").write_text('audio;text;text_fr;start;end\ntape.wav;mwana, bana;"un; deux";0,5;2,25\n')
    data = read_data(tmp_path / "list.csv", OPTIONS)
    (record,) = data.records
    assert (record.text, record.translations) == ("mwana, bana", {"fr": "un; deux"})
    assert record.audio == AudioSlice(str(tmp_path / "tape.wav"), 0.5, 2.25)


def test_further_texts_are_records_without_recordings(folder, tmp_path):
    (tmp_path / "more.mdw").write_text("mwana\nbana\n")
    (tmp_path / "more.fr").write_text("enfant\n\n")
    (tmp_path / "plain.txt").write_text("Un\n")
    (tmp_path / "pairs.tsv").write_text("lang\ttext\ttext_fr\nmdw\tBá\tIl\nes\tuno\tun\n")
    names = ("more.mdw", "more.fr", "plain.txt", "pairs.tsv")
    texts = tuple(str(tmp_path / name) for name in names)
    data = read_data(folder, ReadingOptions(lang="mdw", target_langs=("fr",), texts=texts, text_form="lowercase"))
    found = [(r.key.split("/", 1)[0], r.lang, r.text, r.translations) for r in data.records if r.audio is None]
    assert found == [
        ("field_text_1", "mdw", "mwana", {"fr": "enfant"}),
        ("field_text_1", "mdw", "bana", {}),
        ("field_text_2", "fr", "enfant", {}),
        ("field_text_3", "mdw", "un", {}),
        ("field_text_4", "mdw", "bá", {"fr": "il"}),
    ]
    (finding,) = data.findings
    assert finding.kind == "other_language" and finding.place.endswith("pairs.tsv:3")
    with pytest.raises(ValueError, match=r"none\.txt: no such file; expected sentences"):
        read_data(folder, ReadingOptions(lang="mdw", texts=("none.txt",)))
    (tmp_path / "more.fr").write_text("enfant\n")
    with pytest.raises(ValueError, match=r"more\.mdw: has 2 lines, but more\.fr beside it has 1"):
        read_data(folder, ReadingOptions(lang="mdw", target_langs=("fr",), texts=texts))


@pytest.mark.parametrize(
    ("columns", "options", "lines"),
    [
        ("french", {}, ["list.tsv: column french is not used (--column text_fr=french uses it)"]),
        (
            "translation (fr)\tgloss\tvotes",
            {},
            [
                "list.tsv: column translation (fr) is not used (--column 'text_fr=translation (fr)' uses it)",
                "list.tsv: columns gloss, votes are not used (--column KIND=NAME uses one)",
            ],
        ),
        ("text_fr\tspeaker\tsession\ttext_pt", {}, []),
        ("french\ttext_fr", {"text_fr": "french"}, ["--column text_fr=text_fr"]),
        ("mdw", {}, ["list.tsv: column mdw is not used (--column text=mdw uses it)"]),
        ("notes", {"text_fr": "notes"}, []),
    ],
)
def test_columns_that_are_not_used_are_named_with_the_option_that_uses_them(tmp_path, columns, options, lines):
    write_tape(tmp_path / "tape.wav")
    cells = "\t".join("x" for _ in columns.split("\t"))
    (tmp_path / "list.tsv").write_text(f"file\ttranscription\t{columns}\ntape.wav\tmwana\t{cells}\n")
    data = read_data(tmp_path, ReadingOptions(lang="mdw", target_langs=("fr",), columns=options))
    unused = [choice for choice in data.choices if "not used" in choice]
    assert len(unused) == len(lines) and all(line in choice for line, choice in zip(lines, unused, strict=True))


def test_quotes_of_a_table_with_tabs_are_named(tmp_path):
    (tmp_path / "list.tsv").write_text('"audio"\t"text"\n"a.wav"\t"mwana"\n')
    with pytest.raises(ValueError, match="quotes are ordinary characters in a table with tabs"):
        read_data(tmp_path / "list.tsv", OPTIONS)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_table_in_another_encoding(tmp_path, encoding, ending):
    """cp1252 must be named, UTF-16 as spreadsheets write it says so itself."""
    for name in ("a", "b"):
        write_tape(tmp_path / f"{name}.wav", 2.0)
    rows = {"audio": "text", "a.wav": "première ligne", "b.wav": "mísi"}
    content = "".join(f"{audio}{',' if ending == 'csv' else chr(9)}{text}\r\n" for audio, text in rows.items())
    if ending == "jsonl":
        lines = [{"audio": audio, "text": text} for audio, text in list(rows.items())[1:]]
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    table = tmp_path / f"list.{ending}"
    table.write_bytes(content.encode(encoding))
    if encoding == "cp1252":
        (finding,) = read_data(tmp_path, OPTIONS).findings
        assert finding.place.startswith(f"{table}:") and "--encoding cp1252" in finding.message
    data = read_data(tmp_path, ReadingOptions(lang="mdw", encoding="cp1252"))
    assert data.findings == [] and [record.text for record in data.records] == ["première ligne", "mísi"]


def test_columns_without_a_name_are_not_read(tmp_path):
    """A spreadsheet writes commas for columns that were once used."""
    write_tape(tmp_path / "a.wav", 2.0)
    (tmp_path / "list.csv").write_text("audio,text,,\r\na.wav,mwana,,\r\n", newline="")
    data = read_data(tmp_path / "list.csv", OPTIONS)
    assert data.findings == [] and [record.text for record in data.records] == ["mwana"]


def test_a_table_without_a_transcript_names_its_columns(tmp_path):
    write_tape(tmp_path / "a.wav", 3.0)
    (tmp_path / "list.csv").write_text("audio,mboshi\na.wav,mwana\n")
    data = read_data(tmp_path, OPTIONS)
    assert found(data, "no_text_column") and data.records[0].text is None
    data = read_data(tmp_path, ReadingOptions(lang="mdw", columns={"text": "mboshi"}))
    assert data.findings == [] and data.records[0].text == "mwana"
    (tmp_path / "list.csv").write_text("audio,text_mdw,text_fr\na.wav,mwana,enfant\n")
    (record,) = read_data(tmp_path, OPTIONS).records
    assert (record.text, record.translations) == ("mwana", {"fr": "enfant"})


def test_the_split_of_the_files_is_kept(tmp_path):
    for split in ("train", "dev", "test"):
        write_tape(tmp_path / "audio" / f"{split}.wav", 2.0)
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"audio": f"audio/{split}.wav", "text": split}))
    write_clips(tmp_path / "validation", {"test": "mwana"})
    splits = {record.text: record.extra.get("split") for record in read_data(tmp_path, OPTIONS).records}
    assert splits == {"train": "train", "dev": "dev", "test": "test", "mwana": "dev"}
    assert read_data(tmp_path / "dev.jsonl", OPTIONS).records[0].extra == {"session": tmp_path.name}


def test_later_rows_of_a_table_may_have_a_split_and_a_session(tmp_path):
    """Rows of JSON lines have columns of their own."""
    rows = [{"audio": "a.wav", "text": "mwana"}, {"audio": "b.wav", "text": "ndako", "split": "dev", "session": "s1"}]
    for row in rows:
        write_tape(tmp_path / row["audio"], 2.0)
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    records = read_data(tmp_path, OPTIONS).records
    assert [record.extra for record in records] == [{"session": tmp_path.name}, {"session": "s1", "split": "dev"}]


def test_one_file_is_enough(folder, tmp_path):
    write_annotations(folder, "elan")
    write_tape(folder / "other.wav")
    assert len(read_data(folder / "tape.wav", OPTIONS).records) == len(LINES)
    assert len(read_data(folder / "tape.eaf", OPTIONS).records) == len(LINES)
    shutil.copy(folder / "tape.wav", tmp_path / "alone.wav")
    (record,) = read_data(tmp_path / "alone.wav", OPTIONS).records
    assert record.text is None and record.audio == str(tmp_path / "alone.wav")


@pytest.mark.parametrize("name", ["2026.01.05.wav", "2026.01.05.txt", "2026.01.05.fr.txt"])
def test_one_file_with_a_date_in_its_name_is_only_that_recording(tmp_path, name):
    write_clips(tmp_path, {"2026.01.05": "mwana", "2026.02.07": "mísi", "2026": "other"})
    (tmp_path / "2026.01.05.fr.txt").write_text("enfant")
    data = read_data(tmp_path / name, OPTIONS)
    assert [(record.text, dict(record.translations)) for record in data.records] == [("mwana", {"fr": "enfant"})]
    assert data.findings == []


def test_nothing_to_read_is_an_error_that_says_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match="no such file or folder; expected a folder with recordings"):
        read_data(tmp_path / "gone", OPTIONS)
    with pytest.raises(ValueError, match="there are no recordings; expected a folder with recordings"):
        read_data(tmp_path, OPTIONS)
    (tmp_path / "notes.docx").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"files with this ending are not read"):
        read_data(tmp_path / "notes.docx", OPTIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lang": "xx"}, "the language 'xx': unknown language"),
        ({"lang": "und"}, "the language of the recordings is required"),
        ({"lang": "mdw", "target_langs": ("mdw",)}, "both the language that is spoken"),
        ({"lang": "mdw", "translation_tiers": {"fr": "ft"}}, "not a language to translate into"),
        ({"lang": "mdw", "columns": {"txt": "a"}}, "unknown kind of column 'txt'"),
        ({"lang": "mdw", "encoding": "utf-9"}, "unknown encoding 'utf-9'"),
        ({"lang": "mdw", "speaker_from": "name"}, "must be one of auto, file"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ReadingOptions(**options)


def test_languages_are_read_in_any_spelling():
    options = ReadingOptions(lang="Mboshi", target_langs=("fra", "fr", "en-US"))
    assert (options.lang, options.target_langs) == ("mdw", ("fr", "en-US"))
