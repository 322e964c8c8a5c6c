# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every entry of the table of tests that cannot apply is needed."""

import importlib
import unittest
from functools import cache
from pathlib import Path

import pytest
from hf_common.inapplicable import TABLE


@cache
def common_tests() -> list[unittest.TestCase]:
    """All tests of this folder, the deselected ones included."""
    names = [f"hf_common.{path.stem}" for path in sorted(Path(__file__).parent.glob("test_*_*.py"))]
    modules = [importlib.import_module(name) for name in [*names, "hf_common.test_pipelines"]]
    loaded = [unittest.defaultTestLoader.loadTestsFromModule(module) for module in modules]
    return [test for suite in loaded for tests in suite for test in tests]


class PassedTests(unittest.TestResult):
    """Keeps the tests of which a part was not skipped and did not fail."""

    def __init__(self):
        super().__init__()
        self.passed = set()

    def addSuccess(self, test):  # noqa: N802
        self.passed.add(test.id())

    def addSubTest(self, test, subtest, err):  # noqa: N802
        if err is None:
            self.passed.add(test.id())


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: f"{entry.classes}: {entry.tests}"[:60])
def test_no_deselected_test_passes(entry):
    matched = [test for test in common_tests() if entry.matches(type(test).__name__, test._testMethodName)]
    assert matched or entry.package, "the entry matches no test"
    result = PassedTests()
    unittest.TestSuite(matched).run(result)
    assert not result.passed
