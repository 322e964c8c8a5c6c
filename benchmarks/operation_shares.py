# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the time goes to, by kind of operation: a small encoder, greedy generation and a training step, beside peers.

The systems are those of the benchmarks `encoder`, `generation` and `training_step`. Milliseconds of kinds are torch's
own times of its operations; `rest` is what remains of the whole without the profiler, mostly Python and the calls of
modules.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import encoder, generation, training_step
from benchmarks.interleaved import measure_interleaved

KINDS = {
    "optimizer": ("adamw",),
    "convolutions": ("conv",),
    "softmax, norms, losses": ("softmax", "norm", "var_mean", "nll_loss", "ctc", "logsumexp"),
    "products": ("mm", "linear", "matmul", "scaled_dot_product", "flash_attention"),
    "copies": ("copy", "cat", "index", "gather", "clone", "stack", "fill", "zero", "embedding", "where"),
}
"""Kind -> parts of the names of torch's operations. The first kind that fits counts; others are `elementwise`."""


def kind_of(name: str) -> str:
    """Kind of an operation by its name, for example `aten::addmm`."""
    return next((kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)), "elementwise")


def measure_kinds(run: Callable[[], Any]) -> Counter[str]:
    """Seconds of a call by kind of operation: of one call, because torch takes long to add up many events."""
    run()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    seconds: Counter[str] = Counter()
    for event in profiled.key_averages():
        if event.key.startswith(("aten::", "mkldnn::")):
            seconds[kind_of(event.key)] += event.self_cpu_time_total * 1e-6
    return seconds


def build_cases() -> dict[str, dict[str, Callable[[], Any]]]:
    """Case -> system -> the call that is measured."""
    cases: dict[str, dict[str, Callable[[], Any]]] = {}
    num_layers, width, num_heads, batch_size = encoder.SIZES[-1]
    frames = torch.randn(batch_size, encoder.NUM_FRAMES, width, dtype=torch.bfloat16)
    cases[f"encoder {num_layers} x {width}, {batch_size} clips"] = {
        name: torch.inference_mode()(partial(model, frames))
        for name, model in encoder.build_layers(num_layers, width, num_heads).items()
    }
    writers = generation.build_systems()
    for size in generation.BATCH_SIZES:
        source = torch.randn(size, generation.NUM_POSITIONS, generation.WIDTH, dtype=torch.bfloat16)
        cases[f"60 tokens, batch {size}"] = {name: partial(write, source) for name, write in writers.items()}
    labels = torch.randint(100, training_step.VOCABULARY, (training_step.NUM_CLIPS, training_step.NUM_TOKENS))
    inputs = training_step.make_inputs(labels)
    cases["training step"] = {
        name: training_step.build_step(model.train(), inputs[name])
        for name, model in training_step.build_models().items()
    }
    return cases


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each case and system."""
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []
    for case, systems in build_cases().items():
        times = measure_interleaved(systems, options.repeats)
        for name, call in systems.items():
            kinds, whole = measure_kinds(call), times[name]["wall_seconds"]
            rows.append(
                {
                    "case": case,
                    "system": name,
                    "milliseconds": 1e3 * whole,
                    **{f"{kind}, ms": 1e3 * kinds[kind] for kind in (*KINDS, "elementwise")},
                    "rest, ms": 1e3 * max(0.0, whole - kinds.total()),
                }
            )
    return rows
