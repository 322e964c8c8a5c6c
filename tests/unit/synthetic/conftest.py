# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from mu2slam_hf.synthetic.espeak import EspeakEngine


@pytest.fixture(scope="module")
def engine():
    with EspeakEngine() as engine:
        yield engine
