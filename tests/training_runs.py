# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training scripts in processes of their own, and what their runs leave behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from helpers import REPOSITORY_ROOT
from safetensors.torch import load_file

SCRIPTS = REPOSITORY_ROOT / "training_scripts"
RECIPES = REPOSITORY_ROOT / "configuration" / "recipes" / "mu2slam"
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def make_launcher(script: str, default_recipe: Path, tones: Path) -> Callable[..., subprocess.Popen]:
    """A function that runs a script on a corpus of tones.

    Args:
        script: name of a file in `training_scripts/`.
        default_recipe: what it runs where nothing else is given.
        tones: manifest of `write_tone_corpus`.

    Returns:
        `start(output, *overrides, recipe=..., launcher=(), wait=True)`; it waits for the end and checks it, or returns
        the running process.
    """

    def start(output: Path, *overrides: str, recipe: Path = default_recipe, launcher=(), wait: bool = True):
        values = [f"output.dir={output}", *overrides]
        command = [sys.executable, *launcher, str(SCRIPTS / script), "--recipe", str(recipe)]
        command += [part for value in values for part in ("--set", value)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MU2SLAM_TINY": str(tones.parent)}
        process = subprocess.Popen(
            command, cwd=REPOSITORY_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if wait:
            process.shown, _ = process.communicate(timeout=280)
            assert process.returncode == 0, process.shown
        return process

    return start


def kill_with_children(process: subprocess.Popen) -> None:
    """kill -9 for a launcher, its training processes and their loaders, all at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=30)
    process.communicate()


def read_log(output: Path) -> list[dict]:
    """What a run logged, line by line."""
    return [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_equal_weights(first: Path, second: Path) -> None:
    """Two checkpoints hold the same bits."""
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_same_figures(first: Path, second: Path, words: tuple[str, ...], rel: float) -> int:
    """Logs of two runs agree in all figures whose name holds one of the words; returns how many these are."""
    compared = 0
    for one, other in zip(read_log(first), read_log(second), strict=True):
        for name in one:
            if any(word in name for word in words):
                assert other[name] == pytest.approx(one[name], rel=rel), (one["step"], name)
                compared += 1
    return compared
