# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from mu2slam_hf.cli import main
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.data.tones import write_tone_corpus


def test_tone_corpus_is_the_same_every_time(tmp_path):
    one, two = (write_tone_corpus(tmp_path / name, num_sentences=3, seed=4) for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    for file in sorted(Path(one.parent, "audio", "train").iterdir()):
        assert file.read_bytes() == (two.parent / "audio" / "train" / file.name).read_bytes()
    other = write_tone_corpus(tmp_path / "c", num_sentences=3, seed=4, split="dev")
    assert other.read_text().splitlines()[1:] != one.read_text().splitlines()[1:]
    with pytest.raises(ValueError, match="xx"):
        write_tone_corpus(tmp_path, languages=("xx",))


def test_the_command_writes_tones_without_espeak(tmp_path, capsys):
    arguments = ["tone-corpus", "--output", str(tmp_path / "tiny"), "--num", "2"]
    assert main(arguments) == 0
    assert (
        capsys.readouterr().out.strip() == f"2 sentences each in en, fr, written to {tmp_path / 'tiny' / 'train.tsv'}"
    )
    assert {record.lang for record in read_manifest(tmp_path / "tiny" / "train.tsv")} == {"en", "fr"}
    assert main(arguments) == 1 and "is not an empty folder" in capsys.readouterr().err
