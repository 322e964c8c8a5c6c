# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A folder of 1,000 recordings of which 50 are bad in ten ways: 950 outputs, 50 sentences, exit status 1."""

import io
import os
import struct
import zipfile

import av
import numpy as np
import pytest
import soundfile as sf
from helpers import save_tiny_checkpoint

from mu2slam_hf.cli import main

pytestmark = pytest.mark.slow

RATE = 16_000


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def video_without_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                output.mux(packet)
        for packet in stream.encode(None):
            output.mux(packet)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("a.txt", "text")
    return file.getvalue()


TONE = (0.2 * np.sin(np.arange(RATE // 2) / 5)).astype(np.float32)
GOOD = wav(TONE)
BAD = {
    "empty": b"",
    "text": b"these are the notes of an interview, not its recording\n" * 9,
    "page": b"<!DOCTYPE html><html><body>404</body></html>",
    "archive": archive(),
    "head": GOOD[:30],
    "hertz": GOOD[:24] + struct.pack("<II", 1, 2) + GOOD[32:],
    "codec": GOOD[:20] + struct.pack("<H", 0xFFFF) + GOOD[22:],
    "nan": wav(np.full(800, np.nan, np.float32), subtype="FLOAT"),
    "video": video_without_sound(),
}
"""Nine ways; the tenth is a link to a file that does not exist."""


def test_bad_recordings_cost_themselves_only(tmp_path, capsys):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(950):
        (folder / f"good_{number:03}.wav").write_bytes(GOOD)
    for number in range(5):
        for name, content in BAD.items():
            (folder / f"{name}_{number}.{'mp4' if name == 'video' else 'wav'}").write_bytes(content)
        os.symlink(tmp_path / "missing.wav", folder / f"link_{number}.wav")
    assert len(list(folder.iterdir())) == 1000
    out = tmp_path / "out"
    model = save_tiny_checkpoint(tmp_path / "model")
    options = ["--from", "en", "--num-beams", "1", "--max-new-tokens", "4", "--output-format", "txt"]
    assert main(["transcribe", str(folder), "--model", model, *options, "--output-dir", str(out)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if str(folder) in line]
    assert sorted(path.stem for path in out.glob("*.txt")) == [f"good_{number:03}" for number in range(950)]
    for name in (*BAD, "link"):
        for number in range(5):
            assert len([line for line in lines if f"{name}_{number}." in line]) == 1, (name, number)
    assert not any("Traceback" in line for line in lines)
