# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import shutil

import pytest
from helpers import REPOSITORY_ROOT

from lab.commands import main
from lab.commands.synthesize import count_voices
from mu2slam_hf.data.manifests import read_manifest

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


def test_voices_of_a_text_by_its_length():
    assert count_voices(None, None) == ((50, 5), (100, 3), (230, 2))
    assert set(count_voices(None, 4)) == {(50, 4), (100, 4), (230, 4)}
    # The first pair with enough characters counts.
    assert count_voices(60, None) == ((50, 5), (60, 3), (60, 2), (60, 2))
    assert count_voices(400, None)[-1] == (400, 2)


def test_texts_without_recordings(tmp_path, capsys):
    texts = tmp_path / "texts.tsv"
    texts.write_text("id\tlang\ttext\na\ten\tgood morning\nb\ten\tmuch too long for this\n", encoding="utf-8")
    arguments = ["synthesize", "--manifest", str(texts), "--output", str(tmp_path / "out"), "--max-characters", "15"]
    assert main([*arguments, "--voices-per-text", "2"]) == 0
    records = read_manifest(tmp_path / "out" / "manifest.tsv")
    assert [record.text for record in records] == ["good morning"] * 2
    assert len({record.speaker for record in records}) == 2
    assert capsys.readouterr().out.startswith("en: 2 clips")


def test_list_voices(capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("MU2SLAM_KOKORO", raising=False)
    assert main(["synthesize", "--list-voices", "--languages", "fr,it"]) == 0
    header, french, italian, festival, flite, kokoro, pico, rhvoice = capsys.readouterr().out.splitlines()
    assert header.split() == ["engine", "voice", "language", "licence", "used"]
    assert french.startswith("espeak-ng  fr+...") and " it " in italian and italian.endswith("yes")
    assert "festival: festival is not installed" in festival and flite.endswith("apt-get install flite")
    assert kokoro.startswith("kokoro: kokoro needs the packages of the extra `voices`")
    assert pico.startswith("pico: pico is not installed") and rhvoice.startswith("rhvoice: rhvoice is not installed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", "flite"], "flite is not installed; on Debian and Ubuntu: apt-get install flite"),
        (
            ["--engines", "mbrola"],
            "the speech engines are espeak-ng, festival, flite, kokoro, pico, rhvoice; got 'mbrola'",
        ),
        (["--engine-weights", "flite=2"], "a weight is for 'flite', but the engines are espeak-ng"),
        (["--engine-weights", "espeak-ng=0", "--languages", "en"], "no voice for 'en'"),
    ],
)
def test_engines_that_cannot_be_used(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["synthesize", "--output", str(tmp_path / "out"), "--num", "1", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_are_numbers(capsys):
    with pytest.raises(SystemExit):
        main(["synthesize", "--output", "x", "--engine-weights", "flite"])
    assert "expected NAME=WEIGHT[,NAME=WEIGHT], got 'flite'" in capsys.readouterr().err


def test_generated_sentences_and_texts_of_a_manifest(tmp_path, capsys):
    generated, read = (["synthesize", "--output", str(tmp_path / name)] for name in ("generated", "read"))
    assert main([*generated, "--languages", "en,fr", "--num", "3"]) == 0
    assert capsys.readouterr().out.startswith("en: 3 clips")
    examples = REPOSITORY_ROOT / "examples" / "manifest.tsv"
    assert main([*read, "--languages", "it", "--manifest", str(examples)]) == 0
    assert capsys.readouterr().out.startswith("it: ")
    manifest = (tmp_path / "read" / "manifest.tsv").read_text(encoding="utf-8")
    assert "premere cinque per lasciare un messaggio" in manifest
    assert main([*read, "--languages", "it", "--num", "1"]) == 1
    assert "not an empty folder" in capsys.readouterr().err


def test_a_corpus_requires_its_folder(capsys):
    assert main(["synthesize", "--output", "x", "--corpus", "prompts5"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "python -m lab: --corpus prompts5 requires its folder: --corpus prompts5=DIR, or --root DIR"
    assert main(["synthesize", "--output", "x", "--num", "1", "--option", "domains=ui"]) == 1
    assert "--option domains requires --corpus" in capsys.readouterr().err
