# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
from pathlib import Path

import pytest

from mu2slam_hf.data.tones import write_tone_corpus


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    return write_tone_corpus(tmp_path_factory.mktemp("tones"), num_sentences=3)
