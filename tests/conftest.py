# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Shared set-up of all tests: offline, seeded, one thread per worker, slow tests on request."""

import os
from pathlib import Path

# Before anything imports torch, tokenizers or huggingface_hub: they read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_EVALUATE_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # two workers with all cores each would only wait for one another

import pytest

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--device", default="cpu", help="device of the tests that can use another one, e.g. cuda")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Same random numbers for every test, whatever ran before it and in whichever worker."""
    import random

    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--device")


@pytest.fixture(scope="session")
def repository_root() -> Path:
    return REPOSITORY_ROOT


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with the data sets used for development; tests that need it skip where it is absent."""
    root = Path(os.environ.get("MU2SLAM_DATA", REPOSITORY_ROOT.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data sets at {root} (set MU2SLAM_DATA to their folder)")
    return root
