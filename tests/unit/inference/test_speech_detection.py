# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Detectors of speech: windows only where speech is, and errors before anything is read."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.inference.pauses import (
    PauseSettings,
    build_detector,
    build_energy_detector,
    compute_levels,
    find_stretches,
)
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.inference.windows import RecordingEnd, cut_windows

FILES = sorted((REPOSITORY_ROOT / "examples").glob("*/*.opus"))
needs_silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="the extra `vad` is not installed")


def speech_in_noise(num_files: int, seconds: float = 3.0):
    """Recordings with noise, as loud as soft speech, before each and at the end; and first and last sample of each."""
    generator = np.random.default_rng(0)
    parts, places, total = [], [], 0
    for file in FILES[:num_files]:
        noise, speech = generator.standard_normal(int(seconds * 16000)) * 0.02, load_audio(file)
        parts += [noise, speech]
        places.append((total + len(noise), total + len(noise) + len(speech)))
        total = places[-1][1]
    parts.append(generator.standard_normal(int(seconds * 16000)) * 0.02)
    return np.concatenate(parts).astype(np.float32), places


def test_the_energy_detector_is_the_search_for_pauses():
    waveform, _ = speech_in_noise(2)
    levels = compute_levels(waveform, 16000)
    assert build_detector("energy", 16000) is None
    assert build_energy_detector(PauseSettings())(waveform, levels) == find_stretches(levels, PauseSettings())


@needs_silero
def test_silero_hears_speech_between_noise():
    num_threads = torch.get_num_threads()
    detector = build_detector("silero", 16000)
    assert torch.get_num_threads() == num_threads
    waveform, places = speech_in_noise(5)
    stretches = detector(waveform, compute_levels(waveform, 16000))
    assert len(stretches) == 5
    for (first, stop), (start, end) in zip(stretches, places, strict=True):
        # Recordings begin and end with some silence.
        assert start - 0.4 * 16000 < first * 160 < start + 0.5 * 16000
        assert end - 0.5 * 16000 < stop * 160 < end + 0.5 * 16000
    noise = waveform[:48000]
    assert detector(noise, compute_levels(noise, 16000)) == []
    with pytest.raises(ValueError, match="reads 8000 or 16000 Hz, but the model expects 44100"):
        build_detector("silero", 44100)


@needs_silero
def test_windows_are_where_silero_hears_speech():
    detector = build_detector("silero", 16000)
    # More than one buffer, and read in blocks.
    waveform, places = speech_in_noise(8, seconds=8.0)
    for pieces in (1, 7):
        blocks = iter(np.array_split(waveform[:, None], pieces))
        *windows, end = cut_windows(blocks, 16000, 15.0, detector=detector)
        assert end == RecordingEnd(num_samples=len(waveform))
        assert len(windows) == len(places)
        for window, (start, stop) in zip(windows, places, strict=True):
            assert abs(window.start_sample - start) < 8000
            assert abs(window.start_sample + len(window.waveform) - stop) < 8000
    # Short recordings too.
    (end,) = cut_windows(iter([waveform[:64000, None]]), 16000, 15.0, detector=detector)
    assert end.num_samples == 64000


@needs_silero
def test_nothing_is_transcribed_where_silero_hears_nothing():
    pair = make_tiny_pair()
    waveform, places = speech_in_noise(2)
    options = TranscriptionOptions(source_lang="en", vad="silero", generate_kwargs={"max_new_tokens": 4})
    noise, speech = transcribe_recordings(*pair, [waveform[:48000], waveform], options)
    assert noise.segments == () and noise.duration_seconds == 3.0
    for segment in speech.segments:
        assert any(
            segment.start_seconds > a / 16000 - 0.5 and segment.end_seconds < b / 16000 + 0.5 for a, b in places
        )


def test_what_cannot_detect_is_said(monkeypatch, capsys):
    pair = make_tiny_pair()
    with pytest.raises(ValueError, match="vad must be one of energy, silero, got 'loud'"):
        next(transcribe_recordings(*pair, [], TranscriptionOptions(vad="loud")))
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[vad\]'"):
        next(transcribe_recordings(*pair, [], TranscriptionOptions(vad="silero")))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["transcribe", str(FILES[0]), "--vad", "silero"]) == 1
    assert "--vad silero requires silero-vad: pip install 'mu2slam-hf[vad]'" in capsys.readouterr().err
