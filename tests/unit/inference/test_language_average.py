# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages of recordings as means over windows, and the settings of a checkpoint for them."""

from types import SimpleNamespace

import pytest

from mu2slam_hf.inference.language_average import LanguageAverage
from mu2slam_hf.models.generation_settings import find_chunk_seconds, find_min_language_probability


def test_windows_count_by_their_seconds():
    average = LanguageAverage()
    assert average.probabilities() == {} and average.seconds == 0.0
    average.add({"en": 0.9, "es": 0.1}, 1.0)
    average.add({"en": 0.2, "es": 0.8}, 3.0)
    assert average.probabilities() == pytest.approx({"es": 2.5 / 4, "en": 1.5 / 4})
    assert list(average.probabilities()) == ["es", "en"]
    assert average.best() == ("es", pytest.approx(0.625))
    assert average.seconds == 4.0


def test_settings_as_given_then_stored_then_by_default():
    plain = SimpleNamespace(config=SimpleNamespace())
    stored = SimpleNamespace(
        config=SimpleNamespace(chunk_length_s=30.0),
        generation_config=SimpleNamespace(chunk_length_s=20.0, min_language_probability=0.4),
    )
    encoder = SimpleNamespace(config=SimpleNamespace(chunk_length_s=30.0))
    assert [find_chunk_seconds(model) for model in (plain, stored, encoder)] == [15.0, 20.0, 30.0]
    assert find_chunk_seconds(stored, 5) == 5.0
    with pytest.raises(ValueError, match="at least 1 second, got 0.5"):
        find_chunk_seconds(plain, 0.5)
    assert [find_min_language_probability(model) for model in (plain, stored)] == [0.0, 0.4]
    assert find_min_language_probability(stored, 0.0) == 0.0
