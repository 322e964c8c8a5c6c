# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A corpus of tones and trainers on it."""

from pathlib import Path

import pytest
from tiny_trainers import build_trainer, recipe_arguments

from mu2slam_hf.data.tones import write_tone_corpus


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=5, max_words=3)


@pytest.fixture
def make_trainer(tones, tmp_path):
    """`make(kind, *overrides)`: a trainer that writes to `tmp_path / "run"`."""

    def make(kind: str, *overrides: str, manifest: Path = tones, output: Path = tmp_path / "run"):
        return build_trainer(*recipe_arguments(kind, manifest, output, *overrides))

    return make
