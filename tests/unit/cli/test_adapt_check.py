# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam adapt --check`: broken rows are named by file and line, the rest is used, the exit status tells."""

import json

import pytest
from field_recordings import write_clips, write_tape
from helpers import save_tiny_checkpoint

from mu2slam_hf.cli import main

GOOD = [f"press one {letter}" for letter in "abcdefgh"]
# (audio, text, start, end, ...) -> title of its findings, and a part of what is said about the row
BROKEN = {
    ("missing.wav", "press one", "", ""): ("Recordings that cannot be read", "missing.wav"),
    ("broken.wav", "press one", "", ""): ("Recordings that cannot be read", "broken.wav"),
    ("clip_0.wav", "press one", "2.0", "1.0"): ("Broken rows and annotations", "end"),
    ("clip_0.wav", "press one", "5.0", "6.0"): ("Annotations after the end of their recording", "ends at 00:00:03"),
    ("short.wav", "press one " * 30, "", ""): ("Recordings that are too short for their text", "0.50 s"),
    ("clip_1.wav", "press", "0.0", "1.0", "one", "two"): ("Broken rows and annotations", "6"),
    ("empty.wav", "", "", ""): ("Empty texts", "there is no text for empty.wav"),
}
FIRST_BROKEN_LINE = len(GOOD) + 2


@pytest.fixture
def field(tmp_path):
    """A function that writes a table of good and given rows; a tiny model is beside it."""
    folder = tmp_path / "field"
    write_clips(folder, {f"clip_{n}": "" for n in range(len(GOOD))})
    for text in folder.glob("*.txt"):
        text.unlink()
    write_tape(folder / "short.wav", 0.5, seed=1)
    write_tape(folder / "empty.wav", 3.0, seed=2)
    (folder / "broken.wav").write_bytes(b"RIFF")
    save_tiny_checkpoint(tmp_path / "tiny")

    def write(rows):
        good = [(f"clip_{n}.wav", text, "", "") for n, text in enumerate(GOOD)]
        lines = ["\t".join(row) for row in (("audio", "text", "start", "end"), *good, *rows)]
        (folder / "rows.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder / "rows.tsv"

    return write


@pytest.fixture
def check(tmp_path, capsys):
    def call(source, *options):
        arguments = ["--lang", "es", "--model", str(tmp_path / "tiny"), "--output", str(tmp_path / "model"), *options]
        status = main(["adapt", str(source), *arguments, "--check"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_broken_rows_are_named_and_the_rest_is_used(field, check, tmp_path):
    status, printed, errors = check(field(BROKEN))
    assert status == 1 and errors == ""
    # All but the empty text, whose recording is used as speech without text.
    assert printed.endswith(
        f"8 utterances can be used for training and development; {len(BROKEN) - 1} things are left out, see above\n"
    )
    work = tmp_path / "model" / "adaptation"
    page = (work / "report.html").read_text(encoding="utf-8")
    for line, (title, said) in enumerate(BROKEN.values(), start=FIRST_BROKEN_LINE):
        (row,) = (one for one in printed.splitlines() if f"rows.tsv:{line}" in one)
        assert said in row, row
        above = printed[: printed.index(f"rows.tsv:{line}")].splitlines()
        assert [one for one in above if one.startswith("  ") and " x " in one][-1].endswith(f" x {title}")
        # The page is escaped, the place is not changed by it.
        assert f"rows.tsv:{line}" in page and title in page
    rows = json.loads((work / "data.json").read_text(encoding="utf-8"))["records"]
    assert sorted(row["text"] for row in rows if row["part"] in ("train", "dev")) == GOOD
    (untranscribed,) = (row for row in rows if row["part"] not in ("train", "dev"))
    assert untranscribed["audio"].endswith("empty.wav")
    assert not (work / "train.jsonl").exists(), "nothing is trained"


def test_the_exit_status_is_zero_if_nothing_is_left_out_by_fault(field, check):
    good = field([])
    status, printed, _ = check(good)
    assert status == 0 and printed.endswith(
        "utterances can be used for training and development; nothing is left out\n"
    )
    (good.parent / "broken.wav").unlink()
    # A test set is left out because the user wants it so.
    write_clips(good.parent / "test", {"anna": "press one x"})
    status, printed, _ = check(good.parent)
    assert status == 0 and "1 x Recordings of a test set" in printed


def test_without_anything_to_train_on_it_is_an_error(field, check, tmp_path):
    field([])
    (tmp_path / "field" / "rows.tsv").unlink()
    status, printed, errors = check(tmp_path / "field")
    assert status == 1 and "there is no recording with text to train on" in errors
    assert "written to" in printed, "the report comes first"
