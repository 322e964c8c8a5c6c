# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Forced alignment by the shipped checkpoint: what must hold on real recordings."""

import io
import json

import numpy as np
import pytest
import soundfile
from helpers import REPOSITORY_ROOT

from mu2slam_hf import load_default, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.inference import ctc_alignment
from mu2slam_hf.inference.alignment import align

EXAMPLES = REPOSITORY_ROOT / "examples"
RECORDS = read_manifest(EXAMPLES / "manifest.tsv")


@pytest.fixture(scope="module")
def default():
    return load_default()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.key)
def test_real_recordings(default, record):
    """In order, inside the recording; a reversed and a foreign transcript fit worse."""
    found = align(*default, record.audio, record.text, record.lang)
    assert [word.text for word in found.words] == record.text.split()
    edges = [edge for word in found.words for edge in (word.start_seconds, word.end_seconds)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= found.duration_seconds
    assert found.duration_seconds == pytest.approx(record.duration_seconds, abs=0.01)
    # Speech fills most of these clips, and so do the words.
    assert sum(word.end_seconds - word.start_seconds for word in found.words) > 0.5 * found.duration_seconds
    for wrong in (" ".join(record.text.split()[::-1]), record.translations["ru" if record.lang != "ru" else "en"]):
        assert align(*default, record.audio, wrong, record.lang).score < found.score
    missing = align(*default, record.audio, record.text.rsplit(" ", 1)[0], record.lang)
    # A wildcard in place of the missing word makes up for it, and finds about its place.
    filled = align(*default, record.audio, record.text.rsplit(" ", 1)[0] + " *", record.lang)
    assert filled.score > missing.score
    assert filled.words[-1].start_seconds == pytest.approx(found.words[-1].start_seconds, abs=0.17)


def test_shortened_transcripts_fit_worse(default):
    """But for two recordings at most, whose last words are not recognised."""
    shorter = [record.text.rsplit(" ", 1)[0] for record in RECORDS]
    worse = [
        align(*default, record.audio, text, record.lang).score
        < align(*default, record.audio, record.text, record.lang).score
        for record, text in zip(RECORDS, shorter, strict=True)
    ]
    assert sum(worse) >= len(RECORDS) - 2


def test_a_long_recording_has_the_words_of_its_parts(default, tmp_path, monkeypatch):
    """From a file in blocks, with windows and a band: each word is where it is in the short recording."""
    monkeypatch.setattr(ctc_alignment, "_FULL_SEARCH", 0)
    monkeypatch.setattr(ctc_alignment, "_BAND_STATES", 256)
    pause = np.zeros(16000, dtype=np.float32)
    parts, texts, expected, offset = [], [], [], 0.0
    for record in [*RECORDS, *RECORDS[::-1], *RECORDS]:
        found = align(*default, record.audio, record.text)
        expected += [(word.text, word.start_seconds + offset, word.end_seconds + offset) for word in found.words]
        parts += [load_audio(record.audio), pause]
        texts.append(record.text)
        offset += len(parts[-2]) / 16000 + 1.0
    file = tmp_path / "long.wav"
    soundfile.write(file, np.concatenate(parts), 16000)
    found = align(*default, file, " ".join(texts))
    assert found.duration_seconds == pytest.approx(offset) and offset > 66
    assert [word.text for word in found.words] == [text for text, _, _ in expected]
    errors = [abs(word.start_seconds - start) for word, (_, start, _) in zip(found.words, expected, strict=True)]
    assert np.median(errors) < 0.05 and np.mean(np.array(errors) < 0.2) > 0.9


def test_command_writes_every_format(capsys, tmp_path):
    file, text = EXAMPLES / "it" / "vm-leavemsg.opus", tmp_path / "said.txt"
    text.write_text("Premere cinque per lasciare un messaggio\n", encoding="utf-8")
    assert main(["align", str(file), str(text), "--from", "it"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split("\t")[-1] for line in lines] == ["word", *text.read_text().split()]
    out = tmp_path / "out"
    assert main(["align", str(file), "premere 日 per", "--output-format", "all", "--output-dir", str(out)]) == 0
    assert "日" in capsys.readouterr().err
    assert sorted(path.suffix for path in out.iterdir()) == [".TextGrid", ".json", ".srt", ".tsv", ".txt", ".vtt"]
    assert (out / "vm-leavemsg.TextGrid").read_text(encoding="utf-8").startswith('File type = "ooTextFile"')
    assert json.loads((out / "vm-leavemsg.json").read_text(encoding="utf-8"))["unknown_characters"] == ["日"]


def test_command_aligns_folders_standard_input_and_any_spelling_of_a_language(capsys, tmp_path, monkeypatch):
    said = {"vm-leavemsg": "premere cinque per lasciare un messaggio", "vm-tooshort": "il messaggio è troppo corto"}
    folder = tmp_path / "talks" / "inner"
    folder.mkdir(parents=True)
    for name, text in said.items():
        (folder / f"{name}.opus").write_bytes((EXAMPLES / "it" / f"{name}.opus").read_bytes())
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "talks" / "alone.opus").write_bytes((EXAMPLES / "it" / "vm-tooshort.opus").read_bytes())
    assert main(["align", str(tmp_path / "talks"), "--language", "Italian"]) == 1
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert rows[0] == ["file", "start", "end", "confidence", "word"]
    assert [row[-1] for row in rows[1:]] == [word for text in said.values() for word in text.split()]
    assert "alone.txt: no such file; expected the transcript" in captured.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper((folder / "vm-tooshort.opus").open("rb")))
    assert main(["align", "-", said["vm-tooshort"], "--source-lang", "ita", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["file"] == "-" and " ".join(word["word"] for word in content["words"]) == said["vm-tooshort"]


def test_command_goes_on_after_bad_rows_and_fails(capsys, tmp_path):
    rows = ["id\tlang\taudio\ttext", f"good\tit\t{EXAMPLES / 'it' / 'vm-tooshort.opus'}\til messaggio"]
    rows += [f"long\tit\t{EXAMPLES / 'it' / 'vm-tooshort.opus'}\t" + "il messaggio " * 20]
    rows += ["gone\tit\tmissing.wav\til messaggio", f"mute\tit\t{EXAMPLES / 'it' / 'vm-tooshort.opus'}\t"]
    rows += [f"last\tes\t{EXAMPLES / 'es' / 'vm-tooshort.opus'}\tsu mensaje"]
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["align", "--manifest", str(manifest), "--output-format", "srt", "--output-dir", str(out)]) == 1
    errors = capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == ["good.srt", "last.srt"]
    assert "long: The text is too long" in errors and "missing.wav" in errors and "mute:" in errors
    assert main(["align", "--manifest", str(manifest), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines if "error" not in line] == ["good", "last"]
    assert [line["id"] for line in lines if "error" in line] == ["long", "gone", "mute"]
    for arguments in ([], ["x.wav"], ["x.wav", "text", "--manifest", "m.tsv"]):
        assert main(["align", *arguments]) == 1
        assert capsys.readouterr().err.startswith("mu2slam: ")


def test_transcription_with_word_times(capsys):
    file = EXAMPLES / "es" / "vm-tooshort.opus"
    assert main(["transcribe", str(file), "--from", "es", "--word-times", "--json", "--num-beams", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    (segment,) = result["segments"]
    assert [word["word"] for word in segment["words"]] == result["text"].split()
    assert all(word["start"] < word["end"] <= 2.37 for word in segment["words"])
    assert main(["transcribe", str(file), "--from", "es", "--word-times", "--num-beams", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(segment["words"])
