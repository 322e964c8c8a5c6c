# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A transcription that is killed inside a long recording continues there, and ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from helpers import REPOSITORY_ROOT

import mu2slam_hf
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.inference import settled_segments
from mu2slam_hf.inference.journal import JOURNAL_NAME
from mu2slam_hf.inference.recognition import WindowRecognizer

# Kills itself as soon as the second pool of windows is in the journal.
KILLED = """
import os, signal, sys
from mu2slam_hf.cli import main
from mu2slam_hf.inference import settled_segments
from mu2slam_hf.inference.journal import WindowJournal

settled_segments._LANGUAGE_SECONDS = 9.0
add, calls = WindowJournal.add, []

def add_and_die(self, windows):
    add(self, windows)
    calls.append(len(windows))
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

WindowJournal.add = add_and_die
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Examples with pauses between them, and a stretch without one, which is cut inside speech; two channels."""
    names = ("es/vm-enter-num-to-call", "en/vm-tooshort", "es/vm-tooshort", "it/vm-leavemsg")
    clips = [load_audio(str(REPOSITORY_ROOT / "examples" / f"{name}.opus")) for name in names]
    pause = np.zeros(SAMPLING_RATE, np.float32)
    parts = [part for clip in clips[:3] for part in (clip, pause)] + [*clips, pause, clips[0]]
    path = tmp_path_factory.mktemp("resumed") / "long.wav"
    waveform = np.concatenate(parts)
    sf.write(path, np.stack([waveform, np.roll(waveform, 3 * SAMPLING_RATE)], axis=1), SAMPLING_RATE)
    return path


@pytest.mark.parametrize(
    "options",
    [("--from", "es", "--channels"), ("--to", "fr")],
    ids=["given", "predicted"],
)
def test_a_killed_transcription_continues_inside_the_recording(recording, tmp_path, options, monkeypatch):
    shared = [str(recording), *options, "--batch-seconds", "4", "--chunk-length", "4", "--word-times"]
    shared += ["--output-format", "json,srt", "--output-dir"]
    # Longer than a pool: windows wait for their language.
    monkeypatch.setattr(settled_segments, "_LANGUAGE_SECONDS", 9.0)
    recognised = []
    encode = WindowRecognizer.encode

    def count(self, windows, *args):
        recognised.extend((window.channel, window.start_sample) for window in windows)
        return encode(self, windows, *args)

    monkeypatch.setattr(WindowRecognizer, "encode", count)
    assert main(["transcribe", *shared, str(tmp_path / "whole")]) == 0
    every = list(recognised)
    recognised.clear()
    process = subprocess.run(
        [sys.executable, "-c", KILLED, "transcribe", *shared, str(tmp_path / "killed")],
        # The package of this process, installed or not: the journal knows a model by its folder.
        env={**os.environ, "PYTHONPATH": str(Path(mu2slam_hf.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if process.returncode != -signal.SIGKILL:
        pytest.fail(f"was not killed: {process.stderr}")
    journal = tmp_path / "killed" / JOURNAL_NAME
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    places = [tuple(window["place"][:2]) for line in lines for window in line["windows"]]
    assert places and not (tmp_path / "killed" / "long.json").exists()
    assert main(["transcribe", *shared, str(tmp_path / "killed")]) == 0
    assert not set(places) & set(recognised) and sorted(every, key=str) == sorted(places + recognised, key=str)
    for name in ("long.json", "long.es.srt", "long.srt", "long.en.srt"):
        whole = tmp_path / "whole" / name
        assert not whole.exists() or whole.read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert (tmp_path / "whole" / "long.json").exists()
