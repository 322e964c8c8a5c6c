# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Word times of synthetic speech, and errors of aligned ones."""

from importlib.util import find_spec

import numpy as np
import pytest

from lab.boundary_accuracy import constant_rate_boundaries, measure_boundaries
from lab.commands import main
from lab.synthesis.espeak import Phone
from lab.synthesis.phones import SpokenVersion, find_words, speak_in_voices
from mu2slam_hf import load_default

needs_espeak = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("espeakng_loader", "babel", "num2words")),
    reason="the extra `lab` is not installed",
)


def test_words_of_synthetic_phones():
    def phone(symbol, start, place):
        return Phone(symbol=symbol, start_seconds=start, end_seconds=start + 0.1, text_position=place)

    version = SpokenVersion(
        text="in the cat",
        lang="en",
        speaker="x",
        audio=np.zeros(8000, dtype=np.float32),
        phones=[phone("", 0.0, 0), phone("i", 0.1, 0), phone("n", 0.2, 0), phone("", 0.3, 0), phone("k", 0.4, 7)],
    )
    assert find_words(version) == [("in the", 0.1, pytest.approx(0.3)), ("cat", 0.4, 0.5)]
    errors = constant_rate_boundaries([version])
    assert errors.start_seconds == pytest.approx([0.0 - 0.1, 0.35 - 0.4])
    assert errors.end_seconds == pytest.approx([0.3 - 0.3, 0.5 - 0.5])
    assert errors.figures()["start_mean_absolute_ms"] == pytest.approx(75)


@needs_espeak
def test_boundaries_on_synthetic_speech():
    sentences = [versions[0] for versions in speak_in_voices(["en", "es"], 2, num_voices=1, seed=3, form="spoken")]
    errors = measure_boundaries(*load_default(), sentences)
    figures = errors.figures()
    plain = constant_rate_boundaries(sentences).figures()
    assert errors.num_sentences == 4 and errors.num_left_out == 0
    assert figures["start_mean_absolute_ms"] < 60 and figures["end_mean_absolute_ms"] < 80
    assert figures["start_mean_absolute_ms"] < plain["start_mean_absolute_ms"]
    assert figures["start_within_100ms"] > 80


@needs_espeak
def test_the_command_prints_errors_of_each_language(capsys):
    assert main(["boundary-accuracy", "--synthetic", "en", "--sentences", "1", "--seed", "3"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row[:16].strip() for row in rows] == ["en start", "en end", "en start evenly", "en end evenly"]
    # Mean absolute errors of the model are below those of evenly spread words.
    measured, evenly = (float(rows[place].split()[-5]) for place in (0, 2))
    assert 0 < measured < evenly
    assert main(["boundary-accuracy", "--synthetic", "sw"]) == 1
    assert "--synthetic sw:" in capsys.readouterr().err
