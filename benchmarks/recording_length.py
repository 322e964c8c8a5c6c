# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Seconds and peak memory of `mu2slam transcribe` by length of the recording, each in a process of its own.

The recordings are short ones of one language, joined with pauses.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from benchmarks.joined_recordings import join_recordings
from mu2slam_hf.data.audio import SAMPLING_RATE

# A command with its seconds and its peak memory in MiB (of Linux: `ru_maxrss` would include that of this process).
_MEASURED = """
import pathlib, re, sys, time
from mu2slam_hf.cli import main
started = time.perf_counter()
status = main(sys.argv[1:])
peak = re.search("VmHWM:\\s+([0-9]+)", pathlib.Path("/proc/self/status").read_text())
print(time.perf_counter() - started, int(peak[1]) / 1024)
sys.exit(status)
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Recordings and lengths."""
    parser.add_argument("--manifest", required=True, help="table of recordings with their texts")
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 20, 40, 60], metavar="N")
    parser.add_argument("--plot", type=Path, help="file of a plot")
    parser.add_argument("--seed", type=int, default=0)


def run_measured(arguments: Sequence[str]) -> tuple[list[str], float, float]:
    """Lines that a command prints in a process of its own, its seconds, and its peak memory in MiB."""
    command = [sys.executable, "-c", _MEASURED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, figures = done.stdout.splitlines()
    seconds, megabytes = map(float, figures.split())
    return lines, seconds, megabytes


def run(options: argparse.Namespace) -> list[dict[str, float]]:
    """One row for each length, which is transcribed once."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            file = f"{folder}/{minutes}.flac"
            limits = (60.0 * minutes, 60.0 * minutes)
            joined = join_recordings(
                options.manifest, per_language=1, seconds=limits, noise_db=None, seed=options.seed
            )
            first = next(joined)
            soundfile.write(file, first.waveform, SAMPLING_RATE)
            command = ["transcribe", file, "--from", first.lang, "--output-dir", folder]
            _, seconds, megabytes = run_measured(command)
            audio_seconds = len(first.waveform) / SAMPLING_RATE
            rows.append(
                {
                    "minutes": audio_seconds / 60,
                    "seconds": seconds,
                    "audio seconds per second": audio_seconds / seconds,
                    "peak memory, MiB": megabytes,
                }
            )
    if options.plot:
        plot_length([(row["minutes"], row["seconds"], row["peak memory, MiB"]) for row in rows], options.plot)
    return rows


def plot_length(figures: Sequence[tuple[float, float, float]], path: Path) -> None:
    """Time and memory by length."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    minutes, seconds, megabytes = zip(*figures, strict=True)
    left.plot(minutes, seconds, "o-")
    left.set(xlabel="audio in minutes", ylabel="time in seconds", xlim=(0, None), ylim=(0, None))
    right.plot(minutes, megabytes, "o-")
    right.set(xlabel="audio in minutes", ylabel="peak memory in MiB", xlim=(0, None), ylim=(0, None))
    figure.savefig(path, dpi=120)
