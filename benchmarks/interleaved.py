# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Times of several systems in one process: each in turn, A B A B, so that load of the machine meets all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def measure_interleaved(systems: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds of each system.

    Args:
        systems: name -> function that does the work once.
        repeats: rounds after one that is not counted.

    Returns:
        Name -> `wall_seconds` and `process_seconds` (of all threads; less disturbed by other processes).
    """
    wall: dict[str, list[float]] = {name: [] for name in systems}
    process: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(repeats + 1):
        for name, run in systems.items():
            started, used = time.perf_counter(), time.process_time()
            run()
            if number > 0:
                wall[name].append(time.perf_counter() - started)
                process[name].append(time.process_time() - used)
    return {
        name: {
            "wall_seconds": statistics.median(wall[name]),
            "process_seconds": statistics.median(process[name]),
        }
        for name in systems
    }


def relate(seconds: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, float]:
    """How many times as long a system takes as ours, as cells of a row; both as [`measure_interleaved`] gives them."""
    return {
        "ours / this": seconds["wall_seconds"] / ours["wall_seconds"],
        "ours / this, process time": seconds["process_seconds"] / ours["process_seconds"],
    }
