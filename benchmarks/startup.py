# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Seconds from a command to its last word, beside the import that every model of transformers needs.

Each is a process of its own; `transcribe` reads one recording of 2.3 s with the checkpoint of the package.
"""

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.interleaved import measure_interleaved

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "examples" / "en" / "priv-recordintro.opus"
IMPORT = "import torch, transformers; transformers.PreTrainedModel"
MU2SLAM = (sys.executable, "-m", "mu2slam_hf.cli")
COMMANDS = {
    "python -c 'from transformers import PreTrainedModel'": (sys.executable, "-c", IMPORT),
    "mu2slam transcribe": (*MU2SLAM, "transcribe", "--language", "en", str(RECORDING)),
    "mu2slam --help": (*MU2SLAM, "--help"),
    "mu2slam transcribe FILE, which does not exist": (*MU2SLAM, "transcribe", "missing.wav"),
}


def start(command: tuple[str, ...], expected: int) -> Callable[[], None]:
    """A function that runs the command; it raises RuntimeError for another exit status."""

    def run_once() -> None:
        status = subprocess.run(command, capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        if status.returncode != expected:
            raise RuntimeError(f"{' '.join(command)} exited with {status.returncode}: {status.stderr.decode()}")

    return run_once


def measure_processor_seconds(run_once: Callable[[], None], repeats: int) -> float:
    """Median seconds of processor time of the child process."""
    seconds = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_once()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sorted(seconds)[len(seconds) // 2]


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each command."""
    runs = {name: start(command, 1 if "missing.wav" in command else 0) for name, command in COMMANDS.items()}
    times = measure_interleaved(runs, options.repeats)
    reference = next(iter(times.values()))["wall_seconds"]
    return [
        {
            "command": name,
            "seconds": seconds["wall_seconds"],
            "over the import": seconds["wall_seconds"] - reference,
            "seconds of processor": measure_processor_seconds(runs[name], options.repeats),
        }
        for name, seconds in times.items()
    ]
