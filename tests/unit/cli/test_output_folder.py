# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files of `mu2slam transcribe --output-dir`, and runs that continue earlier ones; see `conftest.py`."""

import json
import os
from pathlib import Path

import pysubs2


def test_one_file_per_recording_format_and_language(transcribe, heard, files):
    files(a="hola", sub__b="adiós", quiet="")
    status, output, errors = transcribe(".", "--to", "en", "-f", "all", "-o", "out")
    assert (status, errors) == (0, "")
    found = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file())
    suffixes = [".TextGrid", ".en.srt", ".en.txt", ".en.vtt", ".json", ".srt", ".tsv", ".txt", ".vtt"]
    assert found == [".mu2slam-transcribe.jsonl", *(s + x for s in ("a", "quiet", "sub/b") for x in suffixes)]
    assert output.splitlines()[0] == "a.wav (2.5 s): 9 files, out/a.*"
    assert output.splitlines()[1].startswith("quiet.wav (0.5 s, no speech)")
    assert Path("out/a.txt").read_text() == "hola\n" and Path("out/a.en.txt").read_text() == "en hola\n"
    assert Path("out/quiet.txt").read_text() == "" and json.loads(Path("out/quiet.json").read_text())["text"] == ""
    assert json.loads(Path("out/sub/b.json").read_text())["file"] == "sub/b.wav"
    for name in ("a.srt", "a.en.vtt"):
        assert len(pysubs2.load(f"out/{name}")) == 1


def test_the_default_format_is_text_and_json_lines_may_be_printed_too(transcribe, heard, files):
    files(a="hola")
    assert json.loads(transcribe("a.wav", "--output-dir", "out", "--json")[1])["text"] == "hola"
    assert Path("out/a.txt").read_text() == "hola\n"


def test_an_interrupted_run_continues(transcribe, heard, files):
    files(a="uno", b="dos", c="tres", d="broken")
    heard.interrupt_at = 2
    status, _, errors = transcribe(".", "-o", "out")
    assert status == 130 and "interrupted" in errors
    assert sorted(path.name for path in Path("out").glob("*.txt")) == ["a.txt", "b.txt"]
    heard.interrupt_at = None
    status, output, errors = transcribe(".", "-o", "out")
    assert heard.contents == ["uno", "dos", "tres", "broken"] and Path("out/c.txt").read_text() == "tres\n"
    assert status == 1 and "cannot be decoded" in errors
    assert output.splitlines()[0] == "a.wav (2.5 s): unchanged, already written"
    # Everything is finished; only what failed is tried again.
    transcribe(".", "-o", "out")
    assert heard.contents[4:] == ["broken"]
    Path("d.wav").unlink()
    loaded = heard.loaded
    assert transcribe(".", "-o", "out")[0] == 0 and heard.loaded == loaded


def test_changed_recordings_options_and_models_are_transcribed_again(transcribe, heard, files, tmp_path):
    files(a="uno", b="dos")
    transcribe(".", "-o", "out")
    files(a="changed")
    transcribe(".", "-o", "out")
    assert heard.contents == ["uno", "dos", "changed"] and Path("out/a.txt").read_text() == "changed\n"
    transcribe("a.wav", "-o", "out", "--to", "fr")
    transcribe("a.wav", "-o", "out", "--to", "fr", "--num-beams", 3)
    transcribe("a.wav", "-o", "out", "--to", "fr", "--num-beams", 3)
    assert heard.contents[3:] == ["changed", "changed"]


def test_another_model_is_another_result(transcribe, heard, files, tmp_path):
    config = {"architectures": ["Mu2SLAMForCTC"], "languages": ["und", "es"]}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({**config, "name": name}))
        (tmp_path / name / "model.safetensors").write_bytes(b"x")
    files(a="uno")
    for name in ("first", "second", "second"):
        assert transcribe("a.wav", "-o", "out", "--model", tmp_path / name)[0] == 0
    assert len(heard.contents) == 2
    (tmp_path / "second" / "model.safetensors").write_bytes(b"xy")
    transcribe("a.wav", "-o", "out", "--model", tmp_path / "second")
    assert len(heard.contents) == 3
    assert "cannot translate" in transcribe("a.wav", "--model", tmp_path / "first", "--to", "es")[2]


def test_renamed_recordings_and_other_formats_need_no_model(transcribe, heard, files):
    files(a="uno dos")
    transcribe("a.wav", "-o", "out", "-f", "srt")
    Path("a.wav").rename("renamed.wav")
    transcribe("renamed.wav", "-o", "out", "-f", "srt,vtt")
    assert len(heard.contents) == 1
    assert Path("out/renamed.srt").read_text() == Path("out/a.srt").read_text()
    assert Path("out/renamed.vtt").exists()


def test_corrected_files_are_kept_and_deleted_ones_written_again(transcribe, heard, files):
    files(a="uno", b="dos")
    transcribe(".", "-o", "out")
    Path("out/a.txt").write_text("corrected")
    Path("out/b.txt").unlink()
    transcribe(".", "-o", "out")
    assert Path("out/a.txt").read_text() == "corrected" and Path("out/b.txt").read_text() == "dos\n"
    assert len(heard.contents) == 2
    transcribe(".", "-o", "out", "--overwrite")
    assert len(heard.contents) == 4 and Path("out/a.txt").read_text() == "uno\n"


def test_files_of_others_are_not_replaced(transcribe, heard, files):
    files(a="uno")
    Path("out").mkdir()
    Path("out/a.srt").write_text("by hand")
    status, _, errors = transcribe("a.wav", "-o", "out", "-f", "srt")
    assert status == 1 and heard.loaded == 0
    assert "out/a.srt exists, and no earlier run wrote it; pass --overwrite" in errors
    assert transcribe("a.wav", "-o", "out", "-f", "srt", "--overwrite")[0] == 0
    assert Path("out/a.srt").read_text() != "by hand"


def test_recordings_with_the_same_name_do_not_share_a_file(transcribe, heard, files):
    files(x__talk="uno", y__talk="dos")
    Path("x/talk.mp3").write_text("tres")
    status, _, errors = transcribe("x/talk.wav", "y/talk.wav", "x/talk.mp3", "x/talk.wav", "-o", "out")
    assert status == 0
    assert "3 recordings are named talk: written as x/talk.wav, y/talk, x/talk.mp3" in errors
    texts = {path.relative_to("out").as_posix(): path.read_text() for path in Path("out").rglob("*.txt")}
    assert texts == {"x/talk.wav.txt": "uno\n", "y/talk.txt": "dos\n", "x/talk.mp3.txt": "tres\n"}
    files(a="uno")
    Path("a.en.wav").write_text("dos")
    errors = transcribe("a.wav", "a.en.wav", "--to", "en", "-o", "other")[2]
    assert "would both be written to other/a.en.txt" in errors


def test_a_journal_cut_off_by_a_crash_is_still_read(transcribe, heard, files):
    files(a="uno", b="dos")
    transcribe(".", "-o", "out")
    journal = Path("out/.mu2slam-transcribe.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4  # a transcript and a file for each recording
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    Path("out/b.txt").unlink()
    del heard.contents[:]
    for _ in range(2):
        assert transcribe(".", "-o", "out")[0] == 0
    assert heard.contents == ["dos"] and Path("out/b.txt").read_text() == "dos\n"
    # A transcript with fields that this version does not have is made again.
    journal.write_text(journal.read_text().replace('"duration_seconds"', '"length"'))
    assert transcribe(".", "-o", "out")[0] == 0 and heard.contents[1:] == ["uno", "dos"]


def test_an_edited_file_is_kept_by_other_settings_and_an_emptied_one_written_again(transcribe, heard, files):
    files(a="hola", b="dos")
    transcribe(".", "-o", "out")
    Path("out/a.txt").write_text("hola, corrected\n")
    Path("out/b.txt").write_text("")  # as after a power cut
    status, _, errors = transcribe(".", "-o", "out", "--num-beams", "2")
    assert status == 1 and "out/a.txt: was edited since it was written, and is kept" in errors
    assert Path("out/a.txt").read_text() == "hola, corrected\n" and Path("out/b.txt").read_text() == "dos\n"
    assert transcribe(".", "-o", "out", "--num-beams", "2", "--overwrite")[0] == 0
    assert Path("out/a.txt").read_text() == "hola\n"


def test_outputs_stay_inside_their_folder(transcribe, heard, files, monkeypatch):
    files(mine__talk="hola", other__talk="dos")
    Path("other/talk.txt").write_text("mine")
    monkeypatch.chdir("mine")
    assert transcribe("talk.wav", "../other/talk.wav", "-o", "../out")[0] == 0
    assert Path("../other/talk.txt").read_text() == "mine"
    assert sorted(path.as_posix() for path in Path("../out").rglob("*.txt")) == [
        "../out/mine/talk.txt",
        "../out/other/talk.txt",
    ]


def test_names_that_cannot_be_written_or_printed_cost_their_own_row(transcribe, heard, files):
    long = "长" * 80
    files(**{"a": "uno", "b": "dos", long: "tres", "c\udcff": "cuatro", "d\x1b[1m": "cinco"})
    Path("out/b.txt").mkdir(parents=True)
    status, output, errors = transcribe(".", "-o", "out")
    assert status == 1 and errors.startswith("b.wav: ") and "Is a directory" in errors
    assert Path(f"out/{long}.txt").read_text() == "tres\n" and Path("out/c\udcff.txt").read_text() == "cuatro\n"
    assert "d\\x1b[1m.wav (2.5 s)" in output and "c\\udcff.wav (2.5 s)" in output
    # The same names are found again.
    assert transcribe(".", "-o", "out")[1].count("unchanged, already written") == 4


def test_a_journal_that_leads_elsewhere_is_refused(transcribe, heard, files):
    files(a="hola")
    Path("out").mkdir()
    Path("mine.txt").write_text("mine")
    Path("out/.mu2slam-transcribe.jsonl").symlink_to("../mine.txt")
    status, _, errors = transcribe("a.wav", "-o", "out")
    assert status == 1 and "expected the journal of earlier runs" in errors and Path("mine.txt").read_text() == "mine"


def test_pipes_and_devices_are_not_recordings(transcribe, heard, files):
    files(a="hola")
    os.mkfifo("b.wav")
    status, _, errors = transcribe(".", "/dev/zero", "-o", "out")
    assert status == 1 and Path("out/a.txt").read_text() == "hola\n"
    assert errors.count("is a device or pipe, not a file") == 2
