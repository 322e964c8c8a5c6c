# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Commands that are killed again and again: nothing is half written, and the results are the same in the end."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint
from written_files import hash_results

from mu2slam_hf.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

EXAMPLES = REPOSITORY_ROOT / "examples"
COMMANDS = {
    "transcribe": ("transcribe {examples} --model model --output-format txt,srt,textgrid --output-dir {out}", 15),
    "train": (
        "train --recipe finetune_tiny_test --set training.max_steps=60 --set training.save_steps=4"
        " --set output.dir={out}",
        15,
    ),
    "index": ("index {examples} --output-dir {out}", 10),
    "tone-corpus": ("tone-corpus --num 300 --output {out}", 5),
    "adapt": ("adapt {examples} --lang es --to en --max-steps 4 --output {out}", 5),
}
"""Command and number of times that it is killed."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny_checkpoint(folder / "model")
    assert main(["tone-corpus", "--num", "8", "--output", str(folder / "data" / "tiny")]) == 0
    return folder


def start(command: str, place: Path, out: Path) -> subprocess.Popen:
    words = command.format(examples=EXAMPLES, out=out).split()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT)}
    code = "import sys; from mu2slam_hf.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed(name, place, tmp_path):
    command, num_kills = COMMANDS[name]
    started = time.perf_counter()
    process = start(command, place, tmp_path / "whole")
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()[-500:]
    seconds = time.perf_counter() - started
    whole = hash_results(tmp_path / "whole")
    assert whole

    generator = random.Random(0)
    out = tmp_path / "killed"
    kills = rounds = 0
    while kills < num_kills:
        process = start(command, place, out)
        try:
            process.communicate(timeout=generator.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            if name != "train":  # whose checkpoints are those of its state
                assert hash_results(out).items() <= whole.items()
        else:
            # A corpus that was complete when the command was killed is not replaced.
            assert hash_results(out) == whole and (process.returncode == 0 or name == "tone-corpus")
            rounds += 1
            out = tmp_path / f"killed_{rounds}"  # begin again
    process = start(command, place, out)
    _, errors = process.communicate()
    assert process.returncode == 0 or name == "tone-corpus", errors.decode()[-500:]
    assert hash_results(out) == whole
