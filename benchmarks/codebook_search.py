# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The exact codebook search beside the plain float32 matrix product of the same size.

The product writes into memory that is there already: nothing but arithmetic. The search is the product and, on top of
it, the choice of the best entry of every frame. Rates are in 10^9 operations of the product per second.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf.models.modules_quantization import find_nearest_codes, full_float32

NUM_CHECKED = 200
TOLERANCE = 1e-5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes and device."""
    parser.add_argument("--sizes", nargs="+", default=["1024x1024"], metavar="KxD", help="entries x width (1024x1024)")
    parser.add_argument("--frames", type=int, default=10_000, help="frames of a batch (10000)")
    parser.add_argument("--device", default="cpu")


def check_against_reference(frames: Tensor, codebook: Tensor) -> None:
    """Raises RuntimeError if an entry is farther from its frame than the nearest one in float64."""
    frames = frames[:NUM_CHECKED]
    found = find_nearest_codes(frames, codebook)
    distances = torch.cdist(frames.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
    excess = distances.gather(1, found[:, None])[:, 0] / distances.amin(1) - 1
    if not excess.max() <= TOLERANCE:
        raise RuntimeError(f"an entry is {excess.max():.2g} farther than the nearest, expected at most {TOLERANCE:g}")


def on_device(function: Callable[[], Tensor], device: torch.device) -> Callable[[], None]:
    """The function, which waits until the device has finished."""

    def run_once() -> None:
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run_once


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each size."""
    device = torch.device(options.device)
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        num_codes, dim = map(int, size.split("x"))
        generator = torch.Generator().manual_seed(0)
        frames = torch.randn(options.frames, dim, generator=generator).to(device)
        codebook = torch.randn(num_codes, dim, generator=generator).to(device)
        products = torch.empty(options.frames, num_codes, device=device)
        check_against_reference(frames, codebook)

        def multiply(frames: Tensor = frames, codebook: Tensor = codebook, products: Tensor = products) -> Tensor:
            with full_float32(frames.device):
                return torch.mm(frames, codebook.T, out=products)

        def search(frames: Tensor = frames, codebook: Tensor = codebook) -> Tensor:
            return find_nearest_codes(frames, codebook)

        calls = {"product": on_device(multiply, device), "search": on_device(search, device)}
        times = measure_interleaved(calls, options.repeats)
        operations = 2 * options.frames * num_codes * dim / 1e9
        rows.append(
            {
                "entries x width": size,
                "product, GFLOP/s": operations / times["product"]["wall_seconds"],
                "search, GFLOP/s": operations / times["search"]["wall_seconds"],
                "search / product": times["product"]["wall_seconds"] / times["search"]["wall_seconds"],
                "by process time": times["product"]["process_seconds"] / times["search"]["process_seconds"],
            }
        )
    return rows
