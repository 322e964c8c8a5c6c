# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Settings of a checkpoint for recordings: as given, else as stored with the model, else by default."""

from typing import Any

DEFAULT_CHUNK_SECONDS = 15.0
"""Maximum length of a window if neither options nor generation configuration say otherwise."""


def find_chunk_seconds(model: Any, given: float | None = None) -> float:
    """Maximum seconds of speech that a model reads at once: `given`, or the stored `chunk_length_s`, or the default.

    Raises:
        ValueError: less than a second.
    """
    seconds = _first_given(given, _stored(model, "chunk_length_s"), DEFAULT_CHUNK_SECONDS)
    if seconds < 1.0:
        raise ValueError(f"chunk_length_s must be at least 1 second, got {seconds}.")
    return float(seconds)


def find_min_language_probability(model: Any, given: float | None = None) -> float:
    """Probability below which a language is `und`: `given`, or the stored `min_language_probability`, or 0."""
    return float(_first_given(given, _stored(model, "min_language_probability"), 0.0))


def _stored(model: Any, name: str) -> Any:
    """A value of the generation configuration, or of the configuration of a model that does not generate."""
    configs = (getattr(model, "generation_config", None), getattr(model, "config", None))
    return _first_given(*(getattr(config, name, None) for config in configs), None)


def _first_given(*values: Any) -> Any:
    """The first value that is not None; the last one if all are."""
    return next((value for value in values if value is not None), values[-1])
