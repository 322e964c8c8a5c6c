# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Texts as strangers have them: separate accents, other encodings, other separators, nothing but punctuation."""

import io
import sys

import numpy as np
import pytest
import soundfile as sf
from helpers import make_tiny_pair, save_tiny_checkpoint

from mu2slam_hf import checkpoints
from mu2slam_hf.cli import main
from mu2slam_hf.inference import alignment, translation
from mu2slam_hf.inference.alignment import AlignedWord, Alignment


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def generated(monkeypatch):
    """The sources that the model is asked to translate."""
    sources = []

    def translate_prepared(model, processor, texts, **_):
        sources.extend(texts)
        return [f"<{text}>" for text in texts]

    monkeypatch.setattr(translation, "_generate", translate_prepared)
    return sources


def test_accents_of_a_text_to_translate_may_be_separate_characters(checkpoint, generated, capsys):
    arguments = ["translate", "e\u0301toile \ufeff", "--from", "fr", "--to", "en", "--normalize", "never"]
    assert main([*arguments, "--model", checkpoint]) == 0
    captured = capsys.readouterr()
    assert generated == ["\u00e9toile"] and captured.err == ""


def test_a_text_without_letters_has_an_empty_translation(checkpoint, generated, capsys):
    arguments = ["translate", "...", "press one", "--from", "en", "--to", "fr", "--normalize", "always"]
    assert main([*arguments, "--model", checkpoint]) == 0
    assert generated == ["press one"] and capsys.readouterr().out.splitlines() == ["", "<press one>"]


def test_standard_input_in_another_encoding_is_named(checkpoint, monkeypatch, capsys):
    content = io.TextIOWrapper(io.BytesIO("où\n".encode("cp1252")), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", content)
    assert main(["translate", "--to", "en", "--model", checkpoint]) == 1
    assert "standard input: not valid UTF-8" in capsys.readouterr().err


def test_a_recording_that_is_given_twice_is_no_failure_and_texts_are_lines(checkpoint, tmp_path, capsys):
    recording, texts = tmp_path / "a.wav", tmp_path / "texts.txt"
    sf.write(recording, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    texts.write_text("press\u2028one\nto leave\r\n", encoding="utf-8", newline="")
    assert main(["retrieve", str(recording), str(recording), "--texts", str(texts), "--model", checkpoint]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(recording) and len(lines) in (3, 4)


def test_recordings_of_one_name_have_an_alignment_each(tmp_path, monkeypatch, capsys):
    for name in ("talk.wav", "talk.flac"):
        sf.write(tmp_path / name, np.zeros(1600), 16_000)
    (tmp_path / "talk.txt").write_text("hello")

    def align(model, processor, source, text, language, *, level):
        words = (AlignedWord(text=text, start_seconds=0.0, end_seconds=0.1, score=-0.1),)
        return Alignment(words=words, duration_seconds=0.1, score=-0.1, unknown_characters=())

    monkeypatch.setattr("mu2slam_hf.cli.commands.align.load_model", lambda args: (None, None))
    monkeypatch.setattr(alignment, "align", align)
    assert main(["align", str(tmp_path), "--output-dir", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["talk.flac.tsv", "talk.wav.tsv"]
    assert "2 recordings are named talk" in capsys.readouterr().err


def test_rows_whose_ids_make_one_file_name_have_an_alignment_each(tmp_path, monkeypatch, capsys):
    sf.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    ids = ["a/b", "a_b", "A_B", "a_b-2", "c"]
    rows = [f"{one}\ten\ta.wav\thello {one}" for one in ids]
    (tmp_path / "rows.tsv").write_text("\n".join(["id\tlang\taudio\ttext", *rows]))

    def align(model, processor, source, text, language, *, level):
        words = (AlignedWord(text=text, start_seconds=0.0, end_seconds=0.1, score=-0.1),)
        return Alignment(words=words, duration_seconds=0.1, score=-0.1, unknown_characters=())

    monkeypatch.setattr("mu2slam_hf.cli.commands.align.load_model", lambda args: (None, None))
    monkeypatch.setattr(alignment, "align", align)
    assert main(["align", "--manifest", str(tmp_path / "rows.tsv"), "--output-dir", str(tmp_path / "out")]) == 0
    written = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()}
    assert len({stem.casefold() for stem in written}) == len(ids)
    assert all(f"hello {one}" in written[stem] for one, stem in (("a/b", "a_b"), ("a_b", "a_b-2"), ("c", "c")))
    assert "a_b: written as a_b-2" in capsys.readouterr().err


def test_characters_of_a_file_do_not_combine_with_one_another(tmp_path, monkeypatch, capsys):
    """`y` and a grave accent that is written on `m` only are no `ỳ`."""
    monkeypatch.setattr(checkpoints, "load_any_checkpoint", lambda *_, **__: make_tiny_pair())
    (tmp_path / "texts.txt").write_text("my m\u0300", encoding="utf-8")
    files = ["--characters-from", str(tmp_path / "texts.txt"), "--output-dir", str(tmp_path / "grown")]
    assert main(["add-language", "--lang", "mdw", *files]) == 0
    output = capsys.readouterr().out
    assert "U+0300" in output and "U+1EF3" not in output
