# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import gc
import subprocess
import sys

import pytest

from mu2slam_hf.cli import main
from mu2slam_hf.cli.collection import postpone_collection, resume_collection


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)
    gc.unfreeze()


def test_collection_is_postponed_and_resumed(thresholds):
    postpone_collection()
    assert gc.get_threshold()[0] > 100 * thresholds[0]
    resume_collection()
    assert gc.get_threshold() == (700, *thresholds[1:]) and gc.get_freeze_count() > 0


def test_a_process_that_is_not_ours_keeps_its_collection(thresholds):
    resume_collection()
    assert gc.get_threshold() == thresholds and gc.get_freeze_count() == 0
    with pytest.raises(SystemExit):
        main(["--version"])
    assert gc.get_threshold() == thresholds


def test_a_command_postpones_it():
    script = (
        "import gc, sys; sys.argv = ['mu2slam', '--version']\n"
        "from mu2slam_hf.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(gc.get_threshold()[0])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(printed.split()[-1]) > 100_000
