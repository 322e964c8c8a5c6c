# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What `mu2slam evaluate` scores is what `mu2slam transcribe` writes: the same windows, languages and speech gate."""

import json

import numpy as np
import pytest
import soundfile as sf

from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio

RATE = 16_000
NUM_RECORDINGS = 50


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, repository_root):
    """Noise, silence, and 50 recordings: the examples as they are, quieter, in noise, after silence, cut."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    waves = {
        "noise": rng.normal(scale=0.1, size=5 * RATE),
        "silence": np.zeros(3 * RATE),
        # Longer than one window.
        "long_noise": rng.normal(scale=0.02, size=20 * RATE),
    }
    examples = sorted((repository_root / "examples").glob("*/*.opus"))
    for number in range(NUM_RECORDINGS):
        wave = load_audio(examples[number % len(examples)])
        change = number // len(examples)
        if change == 1:
            wave = 0.1 * wave
        elif change == 2:
            wave = wave + rng.normal(scale=0.02, size=len(wave))
        elif change == 3:
            wave = np.concatenate([np.zeros(RATE), wave, np.zeros(RATE)])
        elif change >= 4:
            wave = wave[: len(wave) * 3 // 4]
        waves[f"speech_{number:02}"] = wave
    rows = ["id\tlang\taudio\ttext"]
    for name, wave in waves.items():
        sf.write(folder / f"{name}.wav", wave, RATE, subtype="FLOAT")
        rows.append(f"{name}\ten\t{name}.wav\tx")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.tsv"


def test_evaluate_scores_the_texts_that_transcribe_writes(manifest, tmp_path, capsys):
    hypotheses = tmp_path / "hypotheses.jsonl"
    options = ["--tasks", "asr", "--condition", "guessed", "--hypotheses", str(hypotheses)]
    assert main(["evaluate", "--manifest", str(manifest), *options]) == 0
    lines = [json.loads(line) for line in hypotheses.read_text(encoding="utf-8").splitlines()[1:]]
    evaluated = {line["id"]: line["hypothesis"] for line in lines if line["task"] == "asr"}
    capsys.readouterr()
    assert main(["transcribe", str(manifest.parent), "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written = {line["file"].rpartition("/")[2].removesuffix(".wav"): line["text"] for line in printed}
    assert evaluated == written and len(written) == NUM_RECORDINGS + 3
    assert written["noise"] == written["silence"] == written["long_noise"] == ""
    assert sum(bool(text) for text in written.values()) > 0.8 * NUM_RECORDINGS
