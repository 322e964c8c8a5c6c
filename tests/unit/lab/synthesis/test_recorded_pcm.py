# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import soundfile

from lab.synthesis.recorded_pcm import read_pcm


def test_samples_and_rate(tmp_path):
    samples = np.array([0, 1, -2, 30000, -1], dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="PCM_16")
    clip = read_pcm(tmp_path / "a.wav")
    assert clip.pcm == samples.tobytes() and clip.sampling_rate == 16000
    assert read_pcm(tmp_path / "a.wav", 1.25).sampling_rate == 20000


def test_samples_stored_modulo_65536_are_not_used(tmp_path):
    wave = np.round(40000 * np.sin(np.arange(400) / 20)).astype(np.int64)
    soundfile.write(tmp_path / "a.wav", wave.astype(np.int16), 16000, subtype="PCM_16")
    assert read_pcm(tmp_path / "a.wav").pcm == b""
    soundfile.write(tmp_path / "b.wav", (wave // 2).astype(np.int16), 16000, subtype="PCM_16")
    assert len(read_pcm(tmp_path / "b.wav").pcm) == 800
