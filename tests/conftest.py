# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Shared set-up of all tests: offline, seeded, one thread, without the tests that cannot run here.

Deselected are: tests marked slow, without `--slow`; those of damaged files, without `--fuzz N`; those of transformers'
common tests that cannot apply to a class (`hf_common/inapplicable.py`); tests whose files are missing, which a line at
the end of the run names.
"""

import os
from pathlib import Path
from types import SimpleNamespace

# Before anything imports torch, tokenizers or huggingface_hub: they read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_EVALUATE_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Sums depend on the number of threads: runs in this process are compared with runs in processes of their own.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from hf_common.fetch import find_common_tests
from hf_common.inapplicable import is_inapplicable
from lab_package import load_lab

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent
DATA_ROOT = Path(os.environ.get("MU2SLAM_DATA", REPOSITORY_ROOT.parent / "shared" / "data"))
load_lab()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--fuzz", type=int, default=0, metavar="N", help="tests/fuzz: number of damaged recordings")
    parser.addoption("--device", default="cpu", help="device of the tests that can use another one, e.g. cuda")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--slow"):
        os.environ["RUN_SLOW"] = "1"  # transformers' own switch for its common tests


def is_left_out(item: pytest.Item) -> bool:
    """Whether a test is deselected."""
    if "slow" in item.keywords and not item.config.getoption("--slow"):
        return True
    if item.path.parent.name == "fuzz" and not item.config.getoption("--fuzz"):
        return True
    if "data_root" in item.fixturenames and not DATA_ROOT.is_dir():
        return True
    common = item.path.parent.name == "hf_common" and item.cls is not None
    return common and is_inapplicable(item.cls.__name__, item.name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if left_out := {item for item in items if is_left_out(item)}:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Counts for the process that reports, where this one is a worker of pytest-xdist."""
    output = getattr(items[0].config, "workeroutput", {}) if items else {}
    output["deselected"] = output.get("deselected", 0) + len(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """Adds "N deselected" to the last line under pytest-xdist; all workers collect, and count, the same tests."""
    if count := getattr(node, "workeroutput", {}).get("deselected"):
        reports = [SimpleNamespace()] * count  # plugins read their attributes
        node.config.pluginmanager.get_plugin("terminalreporter").stats["deselected"] = reports


def pytest_terminal_summary(terminalreporter) -> None:
    missing = []
    if find_common_tests() is None:
        missing.append("transformers' common tests (`python -m tests.hf_common.fetch` fetches them)")
    if not DATA_ROOT.is_dir():
        missing.append(f"tests of the development corpora (no folder {DATA_ROOT}; set MU2SLAM_DATA)")
    if missing:
        terminalreporter.write_line(f"left out: {'; '.join(missing)}")


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
    """Folder with the data sets used for development; tests that need it are deselected where it is absent."""
    return DATA_ROOT
