# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The machine of a measurement: its name, versions, commit, and how fast it multiplies and copies."""

import importlib.util
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy
import torch
import transformers

from benchmarks.interleaved import measure_interleaved

_PRODUCT_SIZE = 1024
_COPY_BYTES = 2**27


def describe_machine() -> dict[str, Any]:
    """Processor, threads, versions and commit."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    root = Path(__file__).resolve().parent
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    torchao = {"torchao": metadata.version("torchao")} if importlib.util.find_spec("torchao") else {}
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
        **torchao,
        "commit": commit.stdout.strip() or "unknown",
    }


def measure_limits(repeats: int) -> dict[str, float]:
    """What the machine can do now: products of matrices in 10^9 operations, copies in 10^9 bytes per second."""
    copied = torch.ones(_COPY_BYTES, dtype=torch.uint8)
    target = torch.empty_like(copied)
    systems: dict[str, Any] = {"copy": lambda: target.copy_(copied)}
    for dtype in (torch.float32, torch.bfloat16):
        left = torch.randn(_PRODUCT_SIZE, _PRODUCT_SIZE).to(dtype)
        result = torch.empty_like(left)
        systems[str(dtype)] = lambda left=left, result=result: torch.mm(left, left, out=result)
    times = measure_interleaved(systems, repeats)
    operations = 2 * _PRODUCT_SIZE**3 / 1e9
    return {
        "float32_gflops": operations / times["torch.float32"]["wall_seconds"],
        "bfloat16_gflops": operations / times["torch.bfloat16"]["wall_seconds"],
        "copy_gigabytes_per_second": _COPY_BYTES / 1e9 / times["copy"]["wall_seconds"],
    }
