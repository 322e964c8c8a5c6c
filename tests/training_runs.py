# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training scripts in processes of their own, and what their runs leave behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from helpers import REPOSITORY_ROOT
from safetensors.torch import load_file

from mu2slam_hf.training.checkpoints import list_checkpoints

SCRIPTS = REPOSITORY_ROOT / "training_scripts"
RECIPES = REPOSITORY_ROOT / "configuration" / "recipes" / "mu2slam"
QUIET_CPU = (
    "training.use_cpu=true",
    "training.report_to=[]",
    "training.disable_tqdm=true",
    "training.dataloader_num_workers=0",
    "training.bf16=false",
)
"""Settings with which any recipe runs in a test."""
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


def run_in_two_processes(worker: str, folder: Path) -> None:
    """Run a file of `tests/` with a folder as its argument, as two processes that know each other."""
    command = [sys.executable, *TWO_PROCESSES, str(REPOSITORY_ROOT / "tests" / worker), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


def check_kill_and_resume(launch: Callable[..., subprocess.Popen], folder: Path, launcher, *overrides: str) -> None:
    """A run that is killed in the middle of a step and started again ends with the weights of one that was not.

    Args:
        launch: of `make_launcher`.
        folder: where both runs go.
        launcher: `()` or `TWO_PROCESSES`.
        overrides: of the recipe.
    """
    settings = (
        "training.max_steps=40",
        "training.save_steps=5",
        "training.eval_steps=0",
        "training.save_total_limit=20",
        "training.dataloader_num_workers=1",
        *overrides,
    )
    whole, killed = folder / "whole", folder / "killed"
    launch(whole, *settings, launcher=launcher)
    process = launch(killed, *settings, launcher=launcher, wait=False)
    deadline = time.monotonic() + 200
    while len(list_checkpoints(killed)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    kill_with_children(process)
    assert 2 <= len(list_checkpoints(killed)) < 8
    launch(killed, *settings, launcher=launcher)
    assert_equal_weights(whole / "final", killed / "final")


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
