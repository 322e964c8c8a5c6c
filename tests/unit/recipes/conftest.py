# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A corpus of tones and the smallest recipes on it."""

from pathlib import Path

import pytest
from tiny_trainers import recipe_arguments

from mu2slam_hf.data.tones import write_tone_corpus
from mu2slam_hf.recipes.runs.registry import load_recipe


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=3)


@pytest.fixture
def load_tiny(tones, tmp_path):
    """`load(kind, *overrides)`: a recipe whose run writes to `tmp_path / "run"`."""

    def load(kind: str, *overrides: str):
        path, *given = recipe_arguments(kind, tones, tmp_path / "run", *overrides)
        return load_recipe(path, given)

    return load
