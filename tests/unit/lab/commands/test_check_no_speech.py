# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import json
import shutil

import pytest

from lab.commands import main
from lab.synthesis.unseen_sounds import UNSEEN_KINDS
from mu2slam_hf import default_checkpoint


@pytest.mark.parametrize("name", ["espeakng_loader", "babel", "num2words"])
def test_missing_packages_are_named_before_a_model_is_loaded(name, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None if package == name else object())
    assert main(["check-no-speech", "--synthetic", "en"]) == 1
    assert capsys.readouterr().err == (f"python -m lab: --synthetic requires {name}: pip install 'mu2slam-hf[lab]'\n")


def test_voices_and_unseen_sounds_are_measured(tmp_path, capsys):
    pytest.importorskip("espeakng_loader", reason="needs the extra lab")
    folder = tmp_path / "model"
    shutil.copytree(default_checkpoint(), folder)
    stored = folder / "generation_config.json"
    before = json.loads(stored.read_text(encoding="utf-8"))
    command = ["check-no-speech", "--model", str(folder), "--synthetic", "en", "--sentences", "4"]
    small = ["--num-sounds", "15", "--num-measured", str((len(UNSEEN_KINDS) + 1) // 2)]
    assert main([*command, *small]) == 0
    printed = capsys.readouterr().out
    assert "synthetic en" in printed and json.loads(stored.read_text(encoding="utf-8")) == before
    _, unseen = printed.split("kinds of sound that calibration does not use")
    assert all(kind in unseen for kind in UNSEEN_KINDS) and "white_noise" not in unseen
    assert main([*command, *small, "--calibrate"]) == 0
    after = json.loads(stored.read_text(encoding="utf-8"))
    assert f"written to {stored}" in capsys.readouterr().out
    assert set(after) == set(before) and after["no_speech"] != before["no_speech"]


def test_without_speech_nothing_is_measured(capsys):
    assert main(["check-no-speech"]) == 1
    assert "pass --corpus or --manifest: speech" in capsys.readouterr().err
