# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pitch of known sounds, and resynthesis by a synthesizer with random weights."""

import json

import numpy as np
import pytest
import torch
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint

from mu2slam_hf import SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor

pytest.importorskip("scipy", reason="needs the extra lab")

from lab.commands import main
from lab.resynthesis import IDS, MEL, RECORDING, compare_pitch, resynthesize, track_pitch

TIMES = np.arange(16000) / 16000


def voice(frequency, harmonics=6):
    """A voice-like sound whose harmonics fall off, at a constant or changing frequency."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, TIMES.shape)) / 16000
    return (0.2 * sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))).astype(np.float32)


@pytest.mark.parametrize("hertz", [80.0, 127.0, 220.0, 330.0])
def test_the_pitch_of_a_constant_voice(hertz):
    pitch = track_pitch(voice(hertz))
    assert len(pitch) == 100
    inside = pitch[4:-4]
    assert (inside > 0).all() and np.abs(12 * np.log2(inside / hertz)).max() < 0.5


def test_a_rising_voice_and_the_octave_above():
    rising = np.linspace(100, 200, 16000)
    pitch = track_pitch(voice(rising))
    truth = rising[80::160]
    assert np.abs(12 * np.log2(pitch[5:-5] / truth[5:-5])).max() < 1.0
    figures = compare_pitch([(pitch, pitch)])
    assert figures["within_3_semitones"] == 100.0 and figures["median_semitones"] == 0.0
    assert figures["voicing"] == 100.0 and figures["correlation"] == pytest.approx(1.0)
    octave = compare_pitch([(pitch, 2 * pitch)])
    assert octave["within_3_semitones"] == 0.0 and octave["median_semitones"] == pytest.approx(12.0)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    assert (track_pitch(noise) > 0).mean() < 0.05
    assert not track_pitch(np.zeros(16000, np.float32)).any() and len(track_pitch(np.zeros(10, np.float32))) == 0
    pause = voice(150.0)
    pause[8000:] = 0
    voiced = track_pitch(pause) > 0
    assert voiced[4:46].all() and not voiced[54:].any()
    unvoiced = compare_pitch([(track_pitch(noise) * 0, track_pitch(pause))])
    assert set(unvoiced) == {"voicing"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A synthesizer with random weights beside its processor, as the run of training saves it."""
    folder = tmp_path_factory.mktemp("synthesizer")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = SpeechSynthesizerConfig(
        num_speech_tokens=16, encoder_config=small, frame_config={**small, "num_attention_heads": 1}
    )
    SpeechSynthesizerModel(config).save_pretrained(folder)
    tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16))
    SpeechSynthesizerProcessor(Mu2SLAMFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def test_copies_have_whole_ids(folder):
    processor = SpeechSynthesizerProcessor.from_pretrained(folder)
    processor.set_speech_synthesizer(SpeechSynthesizerModel.from_pretrained(folder).eval())
    recording = voice(150.0)[:10001]
    copies = resynthesize(processor, recording, "es")
    assert {name: len(wave) for name, wave in copies.items()} == {RECORDING: 10001, MEL: 16 * 640, IDS: 16 * 640}
    # The log-mel frames of a voice keep its pitch; random weights do not.
    figures = compare_pitch([(track_pitch(copies[RECORDING]), track_pitch(copies[MEL]))])
    assert figures["within_3_semitones"] > 90.0


def test_the_command(folder, tmp_path, capsys):
    model = save_tiny_checkpoint(tmp_path / "model")
    options = ["--manifest", str(REPOSITORY_ROOT / "examples" / "manifest.tsv"), "--limit", "1", "--model", model]
    options += ["--results", str(tmp_path / "record.json"), "--plot", str(tmp_path / "plots"), "--languages", "en,es"]
    assert main(["resynthesis", str(folder), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [RECORDING, MEL, IDS]
    record = json.loads((tmp_path / "record.json").read_text())
    assert {name: values["duration_ratio"] for name, values in record["figures"].items()} == {
        RECORDING: 1.0,
        MEL: 1.0,
        IDS: 1.0,
    }
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2
    assert main(["resynthesis", model, *options]) == 1
    assert "speech_synthesizer" in capsys.readouterr().err
