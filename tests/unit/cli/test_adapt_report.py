# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam adapt --check` prints and writes the report; wrong usage is explained in one line."""

import json
from pathlib import Path

import pytest
from field_recordings import LINES, Line, write_clips, write_elan, write_tape

from mu2slam_hf import default_checkpoint
from mu2slam_hf.cli import main


@pytest.fixture
def inspect(capsys):
    def call(*arguments):
        status = main(["adapt", *map(str, arguments), "--check"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path):
    write_clips(tmp_path / "field", {f"c{n}": f"bana {'abcdefghij'[n]}" for n in range(10)}, c1="les enfants")
    return tmp_path / "field"


def test_the_report_is_printed_and_written(folder, tmp_path, inspect):
    output = tmp_path / "new" / "out"
    status, printed, errors = inspect(folder, "--lang", "Mboshi", "--to", "fr", "--output", output)
    assert status == 0 and errors == ""
    assert "10 utterances, 30 s, unknown speakers, 1 session" in printed
    report = output / "adaptation"
    assert f"\nwritten to {report / 'report.html'} and {report / 'data.json'}\n\n10 utterances can be used" in printed
    assert (report / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    stored = json.loads((report / "data.json").read_text(encoding="utf-8"))
    assert stored["target_langs"] == ["fr"] and len(stored["records"]) == 10
    assert sorted(path.name for path in report.iterdir()) == ["data.json", "report.html"]


def test_the_split_of_an_earlier_report_is_kept_unless_another_is_given(folder, tmp_path, inspect):
    output = tmp_path / "out"

    def parts():
        stored = json.loads((output / "adaptation" / "data.json").read_text(encoding="utf-8"))
        return stored["split"]["by"], {row["key"]: row["part"] for row in stored["records"]}

    inspect(folder, "--lang", "mdw", "--output", output)
    by, before = parts()
    for name in "xyz":
        write_clips(folder / name, {f"{name}{n}": f"{name} bana {n}" for n in range(9)})
    _, printed, _ = inspect(folder, "--lang", "mdw", "--output", output)
    assert "as in the earlier split of these data" in printed
    assert parts()[0] == by == "text" and before.items() <= parts()[1].items()
    inspect(folder, "--lang", "mdw", "--output", output, "--split-by", "session")
    assert parts()[0] == "session"


def test_tiers_columns_and_models_can_be_named(tmp_path, inspect):
    write_tape(tmp_path / "tape.wav")
    write_elan(tmp_path / "tape.eaf", {"one": LINES[:2], "two": [Line(1, 2, "bana")], "three": LINES[:1]})
    status, _, errors = inspect(tmp_path, "--lang", "mdw", "--to", "fr")
    assert status == 1 and "has several tiers" in errors and len(errors.splitlines()) == 1
    arguments = ("--tier", "two", "--tier", "one", "--translation-tier", "three", "--model", default_checkpoint())
    status, printed, _ = inspect(tmp_path, "--lang", "mdw", "--to", "fr", *arguments)
    assert (
        status == 0 and "tier 'two' is the transcript (as given); tier 'three' is the translation into fr" in printed
    )
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "list.csv").write_text("file,says,parle\n../tape.wav,bana,les enfants\n")
    status, printed, _ = inspect(
        tmp_path / "table", "--lang", "mdw", "--to", "fr", "--column", "text=says", "--column", "text_fr=parle"
    )
    assert status == 0 and "1 of 1 utterances" in printed


@pytest.mark.parametrize(
    ("option", "text", "french"),
    [("--lowercase", "bana, ndé!", "les enfants."), ("--normalize", "bana ndé", "les enfants")],
)
def test_texts_are_changed_to_lower_case_and_stay_so(tmp_path, inspect, option, text, french):
    write_clips(tmp_path / "field", {"a": "Bana, NDÉ!", "b": "?!", "c": "bana"}, a="Les enfants.")
    output = tmp_path / "out"

    def texts():
        stored = json.loads((output / "adaptation" / "data.json").read_text(encoding="utf-8"))
        return {Path(row["audio"]).stem: (row["text"], row["translations"]) for row in stored["records"]}

    arguments = (tmp_path / "field", "--lang", "mdw", "--to", "fr", "--output", output)
    for options in ((option,), ()):
        _, printed, _ = inspect(*arguments, *options)
        assert f"2 x a text that was changed to lower case{' without punctuation' * (text == 'bana ndé')} (" in printed
        assert texts() == {"a": (text, {"fr": french}), "c": ("bana", {})}
        assert "the text is '?!'" in printed
    inspect(*arguments, "--normalize", "never")
    assert texts()["a"] == ("Bana, NDÉ!", {"fr": "Les enfants."})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lang", "xx"), "the language 'xx': unknown language 'xx'; nearest"),
        (("--lang", "mdw", "--to", "mdw"), "mdw is both the language that is spoken and the one to translate into"),
        (("--lang", "mdw", "--column", "text"), "--column text: expected the form KEY=NAME"),
        (("--lang", "mdw", "--column", "a=b"), "unknown kind of column 'a'"),
        (("--lang", "mdw", "--to", "fr", "--translation-tier", "a", "--translation-tier", "b"), "given twice for fr"),
        (("--lang", "mdw", "--dev-share", "2"), "must be above 0 and at most 0.5"),
        (("--lang", "mdw", "--model", "/nowhere"), "/nowhere: not a checkpoint folder"),
    ],
)
def test_wrong_arguments_are_explained_in_one_line(folder, inspect, arguments, message):
    status, printed, errors = inspect(folder, *arguments)
    assert status == 1 and printed == ""
    assert message in errors and len(errors.splitlines()) == 1


def test_a_model_needs_a_folder_and_a_check_does_not(folder, tmp_path, monkeypatch, capsys, inspect):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["adapt", str(folder), "--lang", "mdw"]) == 2
    assert "--output-dir is required, unless the data are only checked" in capsys.readouterr().err
    status, printed, _ = inspect(folder, "--lang", "mdw")
    assert status == 0 and "written to" not in printed and "10 utterances can be used" in printed
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_output_that_is_a_file_is_refused_before_anything_is_read(tmp_path, inspect):
    (tmp_path / "out").write_text("x")
    status, _, errors = inspect(tmp_path / "gone", "--lang", "mdw", "--output", tmp_path / "out")
    assert status == 1 and "is a file; expected a folder" in errors


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "train"])
def test_a_failure_leaves_no_empty_folder(tmp_path, options):
    (tmp_path / "empty").mkdir()
    for source in ("gone", "empty"):
        output = tmp_path / "new" / "out"
        assert main(["adapt", str(tmp_path / source), "--lang", "mdw", "--output", str(output), *options]) == 1
        assert not (tmp_path / "new").exists()
