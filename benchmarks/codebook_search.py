# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""How fast the exact codebook search is, as a share of the rate of a plain float32 matrix product of the same size.

    python benchmarks/codebook_search.py --sizes 1024x1024 8192x16 --frames 10000

Product and search are measured in turn, in one process, so that whatever else the machine does slows both. The product
writes into memory that is there already: nothing but arithmetic. The search is the product and, on top of it, the
choice of the best entry of every frame. Rates are of the best of all rounds, which on a busy machine is the one that
was disturbed least; `share` is that of these best, `median` the median over the rounds of both times side by side.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mu2slam_hf.models.modules_quantization import find_nearest_codes, full_float32


def measure(function: Callable[[], torch.Tensor], device: torch.device) -> float:
    """Seconds of one call, until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(num_codes: int, dim: int, num_frames: int, repeats: int, device: torch.device) -> dict[str, float]:
    """Rates of the product and of the search in GFLOP/s of the product, and their ratio."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(num_frames, dim, generator=generator).to(device)
    codebook = torch.randn(num_codes, dim, generator=generator).to(device)
    products = torch.empty(num_frames, num_codes, device=device)

    def product() -> torch.Tensor:
        with full_float32(device):
            return torch.mm(frames, codebook.T, out=products)

    def search() -> torch.Tensor:
        return find_nearest_codes(frames, codebook)

    seconds: dict[str, list[float]] = {"product": [], "search": []}
    for repeat in range(repeats + 1):
        # Turn by turn, and the order changes: neither is always the one that finds warm caches.
        for name, function in [("product", product), ("search", search)][:: 1 if repeat % 2 else -1]:
            elapsed = measure(function, device)
            if repeat:  # the first round warms up
                seconds[name].append(elapsed)
    operations = 2 * num_frames * num_codes * dim / 1e9
    best = {name: min(values) for name, values in seconds.items()}
    # Paired: both of a round ran under the same load.
    shares = [a / b for a, b in zip(seconds["product"], seconds["search"], strict=True)]
    return {
        "num_codes": num_codes,
        "dim": dim,
        "product_gflops": operations / best["product"],
        "search_gflops": operations / best["search"],
        "share": best["product"] / best["search"],
        "median_share": statistics.median(shares),
    }


def main() -> None:
    """Measure and print a table; `--json` writes it too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1024x1024"], metavar="KxD", help="entries x width")
    parser.add_argument("--frames", type=int, default=10_000, help="frames of a batch (10000)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds (9)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", help="file to write the figures to")
    options = parser.parse_args()

    device = torch.device(options.device)
    versions = f"torch {torch.__version__}, {platform.processor() or platform.machine()}"
    print(f"{options.frames} frames; {device}; {torch.get_num_threads()} threads; {versions}")
    rows = []
    for size in options.sizes:
        num_codes, dim = map(int, size.split("x"))
        row = compare(num_codes, dim, options.frames, options.repeats, device)
        rows.append(row)
        print(
            f"{size:>10}  product {row['product_gflops']:8.1f} GFLOP/s  search {row['search_gflops']:8.1f} GFLOP/s  "
            f"{100 * row['share']:5.1f} %  median {100 * row['median_share']:5.1f} %"
        )
    if options.json:
        Path(options.json).write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
