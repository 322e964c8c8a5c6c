# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""From a folder to records, a report and its files."""

import builtins
import json
import random
import re
from html.parser import HTMLParser

import pytest
from field_recordings import LINES, Line, write_clips, write_elan, write_subtitles, write_tape, write_textgrid
from helpers import make_tiny_processor

from mu2slam_hf.adaptation.reading.options import ReadingOptions, SplitSettings
from mu2slam_hf.adaptation.reading.read_data import FINDING_KINDS, Finding
from mu2slam_hf.adaptation.report.dev_split import PreviousSplit
from mu2slam_hf.adaptation.report.prepared_data import load_previous_split, prepare_data
from mu2slam_hf.adaptation.report.rendering import format_hours, format_report, plot_report, render_html
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.data.corpora.mboshi_french import load_mboshi_french
from mu2slam_hf.data.examples.builder import ExampleBuilder

OPTIONS = ReadingOptions(lang="mdw", target_langs=("fr",))


@pytest.fixture
def folder(tmp_path):
    """Clips of three people, two of them broken, and a tape that is only partly transcribed."""
    folder = tmp_path / "field"
    texts = {f"anna_{n}": f"press one bana {'abcdefgh'[n]}" for n in range(8)}
    write_clips(folder / "day1", texts, anna_0="appuyez un")
    write_clips(folder / "day2", {f"ben_{n}": f"leave <b>mwana</b> {'ijklmn'[n]}" for n in range(6)})
    write_tape(folder / "day2" / "silent.wav", 3.0, level=0.0)
    (folder / "day1" / "bad.wav").write_bytes(b"RIFF")
    write_tape(folder / "tapes" / "tape.wav", 10.0)
    write_elan(folder / "tapes" / "tape.eaf", {"tx@Carl": [*LINES[:2], Line(5.0, 9.0, "")]})
    return folder


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_records_of_all_parts_can_be_trained_on(folder):
    prepared = prepare_data(folder, OPTIONS, tokenizer=make_tiny_processor().tokenizer)
    split = prepared.split
    assert len(split.train) + len(split.dev) == 16 and len(split.dev) >= 4
    assert [record.audio.start_seconds for record in prepared.untranscribed] == [5.0]
    keys = [r.key for part in (split.train, split.dev, prepared.untranscribed) for r in part]
    assert len(keys) == len(set(keys))
    for record in (*split.train, *split.dev, *prepared.untranscribed):
        assert len(load_audio(record.audio)) == round(16_000 * record.duration_seconds)
        assert record.extra["session"] and record.lang == "mdw"
    examples = ExampleBuilder(tasks=("asr", "ast")).build([*split.train, *split.dev])
    assert len(examples) == 16
    assert sorted(target.task for example in examples for target in example.targets).count("ast") == 3


def test_the_report_counts_what_there_is(folder):
    report = prepare_data(folder, OPTIONS, tokenizer=make_tiny_processor().tokenizer).report
    amounts = report.amounts
    assert report.num_recordings == 17 and amounts["recordings"].utterances == 16
    assert (amounts["labelled"].utterances, amounts["labelled"].speakers, amounts["labelled"].sessions) == (16, 3, 3)
    assert amounts["labelled"].guessed_speakers == 2, "the tape says who speaks, the clips do not"
    assert amounts["labelled"].hours == pytest.approx((14 * 3.0 + 1.75 + 1.5) / 3600, abs=1e-4)
    assert amounts["untranscribed"].hours == pytest.approx(4.0 / 3600, abs=1e-4)
    assert report.translated["fr"]["train"] + report.translated["fr"]["dev"] == 3
    assert report.formats == {(16_000, 1): 16}
    assert [(one.name, one.utterances) for one in report.speakers] == [
        ("anna", 8),
        ("ben", 6),
        ("Carl", 2),
        (None, 0),
    ][:3]
    assert {kind: len(own) for kind, own in report.findings_by_kind().items()} == {
        "unreadable_audio": 1,
        "silent": 1,
        "no_translation": 13,
    }
    known = {one.char: one.in_vocabulary for one in report.inventories[0].characters}
    assert known["a"] is True and known["ε"] is False


def test_text_and_html_say_the_same_and_need_nothing_else(folder):
    report = prepare_data(folder, OPTIONS, tokenizer=make_tiny_processor().tokenizer).report
    text, html = format_report(report), render_html(report)
    page = Page(html)
    assert page.open == [] and "script" not in page.tags and page.tags.count("img") == 3
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", html)
    for part in (
        "Left out",
        "Silent recordings",
        "Mboshi (mdw)",
        "tier &#39;tx&#39; of each speaker is the transcript",
    ):
        assert part in html and part.replace("&#39;", "'") in text
    # texts of users are not markup
    assert "b" not in page.tags[page.tags.index("h2") :]
    assert "3 speakers (2 of them guessed from file names), 3 sessions" in text
    assert "<b>3</b>speakers, 2 of them guessed from file names</div>" in html
    assert html.count("(guessed)") == 2
    assert "day1/bad.wav: " in text and str(folder / "day1") not in text
    assert "... and 8 more" in text


def test_the_figures_at_the_top_count_recordings_with_translations_only(tmp_path):
    rows = ["audio\tspeaker\ttext_fr"]
    for number in range(12):
        write_tape(tmp_path / f"{number}.wav", 3.0, seed=number)
        rows.append(f"{number}.wav\tspeaker {number % 4}\tappuyez sur {'abcdefghijkl'[number]}")
    (tmp_path / "table.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    report = prepare_data(tmp_path / "table.tsv", OPTIONS, tokenizer=make_tiny_processor().tokenizer).report
    html = render_html(report)
    tiles = {title: value for value, title in re.findall(r"<b>(.*?)</b>(.*?)</div>", html)}
    scored = report.translated["fr"]["dev_scored"]
    assert scored > 0
    expected = {"translated": "36 s", "utterances": "12", "speakers": "4", "utterances to test with": str(scored)}
    assert {title: tiles[title] for title in expected} == expected


def test_capitals_that_the_model_lacks_are_named_with_advice(tmp_path):
    write_clips(tmp_path / "field", {"a": "Press One ε", "b": "press Εne"}, b="Appuyez")
    tokenizer = make_tiny_processor().tokenizer
    report = prepare_data(tmp_path / "field", OPTIONS, tokenizer=tokenizer).report
    found = report.findings_by_kind()["new_capitals"]
    # The Greek capital is not listed: its small letter is new too.
    assert [one.message for one in found] == ["in mdw: O P, 2 x in all", "in fr: A, 1 x in all"]
    assert "Give --lowercase, or --normalize" in format_report(report)
    assert "new_capitals" not in prepare_data(tmp_path / "field", OPTIONS).report.findings_by_kind()


def test_texts_that_the_development_set_has_are_left_out(tmp_path):
    write_clips(tmp_path / "field", {f"c{n}": f"bana {'abcdefghij'[n]}" for n in range(10)})
    (tmp_path / "more.txt").write_text("".join(f"Bana {letter}!\n" for letter in "abcdefghijkl"))
    options = ReadingOptions(lang="mdw", texts=(str(tmp_path / "more.txt"),))
    prepared = prepare_data(tmp_path / "field", options)
    dev = {record.text for record in prepared.split.dev}
    assert (
        dev
        and {record.text.lower().rstrip("!") for record in prepared.texts}
        == {f"bana {letter}" for letter in "abcdefghijkl"} - dev
    )
    lines = format_report(prepared.report)
    assert f"{len(dev)} x a text without recording that is left out: the development set has it" in lines
    assert f"{12 - len(dev)} texts without recording" in lines


def test_without_matplotlib_the_page_says_what_is_missing(folder, monkeypatch):
    report = prepare_data(folder, OPTIONS).report
    found = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[plots\]'"):
        plot_report(report)
    page = Page(render_html(report))
    assert "img" not in page.tags


def test_data_json_has_every_record_and_keeps_the_split(folder, tmp_path):
    prepared = prepare_data(folder, OPTIONS)
    path = prepared.save(tmp_path / "out")
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in stored["records"]}
    assert len(rows) == 17 and sum(row["part"] == "untranscribed" for row in rows.values()) == 1
    row = rows["field/mdw/tapes/tape@0.500-2.250"]
    assert row | {"part": "", "shared": []} == {
        "part": "",
        "key": "field/mdw/tapes/tape@0.500-2.250",
        "audio": str(folder / "tapes" / "tape.wav"),
        "start_seconds": 0.5,
        "end_seconds": 2.25,
        "duration_seconds": 1.75,
        "lang": "mdw",
        "text": LINES[0].text,
        "translations": {"fr": LINES[0].french},
        "speaker": "Carl",
        "session": "tapes/tape",
        "shared": [],
        "place": f"{folder / 'tapes' / 'tape.eaf'}, tier 'tx@Carl', 00:00:00.500",
    }
    assert {finding["kind"] for finding in stored["findings"]} == {"unreadable_audio", "silent", "no_translation"}
    previous = load_previous_split(tmp_path / "out")
    assert previous == PreviousSplit(by=prepared.split.by, threshold=prepared.split.threshold)
    write_clips(folder / "day3", {f"dora_{n}": f"other text {n}" for n in range(30)})
    after = {row["key"]: row["part"] for row in prepare_data(folder, OPTIONS, previous=previous).to_dict()["records"]}
    assert len(after) == 47 and {key: after[key] for key in rows} == {key: row["part"] for key, row in rows.items()}


def test_there_is_no_earlier_split_in_other_files(tmp_path):
    assert load_previous_split(tmp_path) is None
    for content in ("{", "[]", '{"split": 1}'):
        (tmp_path / "data.json").write_text(content)
        assert load_previous_split(tmp_path) is None


def test_speech_without_text_of_development_sessions_is_held_back(tmp_path):
    for name in "abcdefgh":
        write_clips(tmp_path / name, {f"{name}{n}": f"text {n} of {name}" for n in range(3)})
        write_tape(tmp_path / name / "extra.wav", 2.0, seed=ord(name))
    prepared = prepare_data(tmp_path, OPTIONS, split_settings=SplitSettings(dev_share=0.3, by="session"))
    dev = {record.extra["session"] for record in prepared.split.dev}
    assert dev and {record.extra["session"] for record in prepared.held_back} == dev
    assert {record.extra["session"] for record in prepared.untranscribed} == set("abcdefgh") - dev
    assert prepared.report.amounts["held_back"].utterances == len(dev)


def test_shared_sentences_are_reported_and_not_scored(tmp_path):
    write_clips(tmp_path / "train", {"a": "mwana bana", "b": "wa mísi"}, a="les enfants", b="il voit")
    write_clips(tmp_path / "dev", {"c": "Mwana bana!", "d": "obengi"}, c="un enfant", d="Il voit.")
    write_clips(tmp_path / "test", {"e": "mwana"})
    prepared = prepare_data(tmp_path, OPTIONS)
    assert prepared.split.by == "given"
    found = {kind: [one.message for one in own] for kind, own in prepared.report.findings_by_kind().items()}
    assert sorted(found["shared_sentence"]) == ["in fr: 'Il voit.'", "in mdw: 'Mwana bana!'"]
    assert len(found["given_test"]) == 1
    assert [record.id for record in prepared.split.scored("mdw")] == ["dev/d"]
    assert [record.id for record in prepared.split.scored("fr")] == ["dev/c"]
    shared = {row["key"]: row["shared"] for row in prepared.to_dict()["records"] if row["shared"]}
    name = tmp_path.name
    assert shared == {f"{name}/mdw/dev/c": ["mdw"], f"{name}/mdw/dev/d": ["fr"]}
    assert "1 (without 1 of sentences that training has too)" in format_report(prepared.report)


def test_progress_tells_how_many_recordings_are_done(folder):
    seen = []
    prepare_data(folder, OPTIONS, progress=lambda done, total: seen.append((done, total)), num_threads=1)
    assert seen == [(number, 17) for number in range(1, 18)]


def test_every_kind_of_finding_has_advice_for_people():
    for name, kind in FINDING_KINDS.items():
        assert kind.title and kind.advice.endswith("."), name
        assert Finding(kind=name, place="a", message="b").severity == kind.severity


@pytest.mark.parametrize(("hours", "text"), [(2.46, "2.5 h"), (0.5, "30 min"), (0.01, "36 s"), (0.0, "0 s")])
def test_hours_are_written_for_people(hours, text):
    assert format_hours(hours) == text


@pytest.mark.parametrize(
    "name", ["tape.eaf", "tape.TextGrid", "tape.srt", "tape.vtt", "tape.txt", "list.tsv", "list.csv"]
)
def test_damaged_files_are_never_more_than_a_finding(tmp_path, name):
    """Cut off, or with bytes exchanged: the other recording is read all the same."""
    numbers, folder = random.Random(name), tmp_path
    write_tape(folder / "tape.wav", 3.0)
    write_clips(folder / "other", {"good": "mwana"})
    lines = [Line(0.5, 1.0, "mísi", "il a vu"), Line(1.5, 2.5, "ba ngá", "les enfants")]
    rows = [["audio", "text", "start", "end"], *(["tape.wav", line.text, str(line.start), "3"] for line in lines)]
    if name.endswith("eaf"):
        write_elan(folder / name, {"mdw": lines})
    elif name.endswith("TextGrid"):
        write_textgrid(folder / name, lines, 3.0)
    elif name.startswith("list"):
        (folder / name).write_text("\n".join(("\t" if name.endswith("tsv") else ",").join(row) for row in rows))
    elif name.endswith("txt"):
        (folder / name).write_text("mísi")
    else:
        write_subtitles(folder, "tape", lines, name.removeprefix("tape"))
    whole = (folder / name).read_bytes()
    for _ in range(25):
        damaged = bytearray(whole[: numbers.choice([len(whole), numbers.randrange(len(whole))])])
        for _ in range(numbers.choice([0, 1, 5, 50])):
            if damaged:
                damaged[numbers.randrange(len(damaged))] = numbers.choice([0, 10, 34, 60, 65, 200, 255])
        (folder / name).write_bytes(bytes(damaged))
        split = prepare_data(folder, OPTIONS, num_threads=1).split
        assert "mwana" in [record.text for record in (*split.train, *split.dev)]


def test_mboshi(data_root):
    """The development half of a real corpus: nothing is left out, and the figures are those of its description."""
    options = ReadingOptions(lang="mdw", target_langs=("fr",), columns={"text": "text_mb_clean"})
    prepared = prepare_data(data_root / "mboshi_french" / "dev.tsv", options)
    report, expected = prepared.report, load_mboshi_french(data_root / "mboshi_french", "dev")
    records = {record.id: record for record in (*prepared.split.train, *prepared.split.dev)}
    assert {record.id: (record.text, record.translations, record.speaker) for record in expected} == {
        key: (record.text, record.translations, record.speaker) for key, record in records.items()
    }
    assert report.amounts["labelled"].hours == pytest.approx(0.218, abs=1e-3)
    assert [(one.name, one.utterances) for one in report.speakers] == [
        ("abiayi", 176),
        ("kouarata", 63),
        ("martial", 19),
    ]
    assert not [finding for finding in report.findings if finding.severity == "left_out"]
    assert set(report.inventories[0].scripts) == {"LATIN", "GREEK"} and not report.removed_characters
    assert prepared.split.by == "text" and len(prepared.split.scored("mdw")) >= 20
