# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Seconds of speech that a checkpoint transcribes per second, features included, by batch size and beams.

The recordings of the folder are repeated until there are `--clips` of them, and decoded before the clock starts.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf.checkpoints import DEFAULT_NAME, load_any_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio

SUFFIXES = (".flac", ".ogg", ".opus", ".wav")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Checkpoint, recordings and sizes."""
    parser.add_argument("--model", default=DEFAULT_NAME, help="folder of a checkpoint (default: that of the package)")
    parser.add_argument("--audio", default="examples", help="folder of recordings (examples)")
    parser.add_argument("--clips", type=int, default=16, help="number of recordings (16)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16], metavar="N")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4], metavar="N")
    parser.add_argument("--device", default="cpu")


def find_recordings(folder: str, num_clips: int) -> list[np.ndarray]:
    """`num_clips` waveforms, the files of the folder in turn, shortest first as a sorted batch would have them.

    Raises:
        ValueError: the folder has none.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: expected recordings ({', '.join(SUFFIXES)}) in this folder, found none")
    waveforms = [load_audio(path) for path in paths]
    return sorted((waveforms[index % len(waveforms)] for index in range(num_clips)), key=len)


def transcribe(model: Any, processor: Any, waveforms: list[np.ndarray], batch_size: int, num_beams: int) -> None:
    """One pass over all recordings."""
    for start in range(0, len(waveforms), batch_size):
        inputs = processor(audio=waveforms[start : start + batch_size], sampling_rate=SAMPLING_RATE)
        model.generate(**inputs.to(model.device), num_beams=num_beams)


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each batch size and number of beams."""
    model, processor = load_any_checkpoint(options.model, device=options.device)
    waveforms = find_recordings(options.audio, options.clips)
    seconds_of_speech = sum(map(len, waveforms)) / SAMPLING_RATE
    cases = {
        f"batch {size}, beams {beams}": {"batch_size": size, "num_beams": beams}
        for size in options.batch_sizes
        for beams in options.beams
    }
    calls = {name: partial(transcribe, model, processor, waveforms, **case) for name, case in cases.items()}
    times = measure_interleaved(calls, options.repeats)
    return [
        {
            "batch": case["batch_size"],
            "beams": case["num_beams"],
            "audio seconds per second": seconds_of_speech / times[name]["wall_seconds"],
            "by process time": seconds_of_speech / times[name]["process_seconds"],
        }
        for name, case in cases.items()
    ]
