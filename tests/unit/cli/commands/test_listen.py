# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam listen` on a pipe and on a microphone."""

import io
import json
import sys
import types

import numpy as np
import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio

CLIP = str(REPOSITORY_ROOT / "examples" / "es" / "vm-enter-num-to-call.opus")


@pytest.fixture(scope="module")
def samples():
    waveform = np.concatenate([load_audio(CLIP), np.zeros(SAMPLING_RATE, np.float32)])
    return (np.clip(waveform, -1, 1) * (2**15 - 1)).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def transcript():
    from mu2slam_hf import load_any_checkpoint, transcribe_recordings

    (result,) = transcribe_recordings(*load_any_checkpoint("default"), [{"bytes": open(CLIP, "rb"), "path": CLIP}])
    return result


def run(capsys, *arguments):
    status = main(["listen", *arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


class Pipe:
    """Standard input whose blocks have odd numbers of bytes."""

    def __init__(self, data):
        self.buffer = self
        self._file = io.BytesIO(data)

    def isatty(self):
        return False

    def read1(self, size):
        return self._file.read(min(size, 4001))


def test_a_pipe(capsys, monkeypatch, samples, transcript):
    monkeypatch.setattr(sys, "stdin", Pipe(samples))
    status, out, _ = run(capsys, "-", "--from", "es", "--to", "en")
    lines = out.splitlines()
    assert status == 0 and lines[0] == transcript.text and lines[1].startswith("  en  ") and len(lines) == 2


def test_json_lines(capsys, monkeypatch, samples, transcript):
    monkeypatch.setattr(sys, "stdin", Pipe(samples))
    status, out, _ = run(capsys, "-", "--from", "es", "--json")
    entries = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [entry["type"] for entry in entries].count("final") == 1
    assert entries[-1]["text"] == transcript.text and entries[-1]["language"] == "es"
    assert entries[-1]["end"] > entries[-1]["start"] + 1 and entries[0]["type"] == "partial"


def test_a_microphone(capsys, monkeypatch, samples, transcript):
    """With a driver that gives blocks of a recording, then is interrupted."""

    class Stream:
        def __init__(self, *, samplerate, blocksize, device, channels, dtype, callback):
            assert (samplerate, channels, dtype, device) == (SAMPLING_RATE, 1, "int16", 3)
            self._blocks = [samples[i : i + 2 * blocksize] for i in range(0, len(samples), 2 * blocksize)]
            self._callback = callback

        def __enter__(self):
            for block in self._blocks:
                self._callback(block, len(block) // 2, None, None)

        def __exit__(self, *error):
            pass

    class Queue(list):
        put = list.append

        def get(self):
            if not self:
                raise KeyboardInterrupt
            return self.pop(0)

    driver = types.SimpleNamespace(RawInputStream=Stream, PortAudioError=OSError, __spec__=types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "sounddevice", driver)
    monkeypatch.setattr("mu2slam_hf.cli.commands.listen.queue", types.SimpleNamespace(SimpleQueue=Queue))
    status, out, err = run(capsys, "--from", "es", "--input-device", "3")
    assert status == 0 and out.splitlines() == [transcript.text] and "listening" in err


def test_a_missing_microphone_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, _, err = run(capsys)
    assert status == 1 and "pip install 'mu2slam-hf[microphone]'" in err


def test_a_terminal_is_no_pipe(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    status, _, err = run(capsys, "-")
    assert status == 1 and "is a terminal" in err
