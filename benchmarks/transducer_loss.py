# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The sum over all paths of a transducer, with its gradient, beside the same recursion node by node in autograd.

Both read the log probabilities of blank and labels; the networks are not part of it.
"""

import argparse

import torch
from torch import Tensor

from benchmarks.interleaved import measure_interleaved
from mu2slam_hf.models.modules_transducer import transducer_log_likelihoods

TOLERANCE = 1e-9


def add_options(parser: argparse.ArgumentParser) -> None:
    """Sizes of the lattice."""
    parser.add_argument("--sizes", nargs="+", default=["200x50"], metavar="NxL", help="frames x labels (200x50)")


def sum_node_by_node(blank: Tensor, labels: Tensor) -> Tensor:
    """Log probability of one utterance: `blank` `(N, L + 1)`, `labels` `(N, L)`."""
    num_frames, num_counts = blank.shape
    before: list[Tensor] = []
    for frame in range(num_frames):
        row: list[Tensor] = []
        for count in range(num_counts):
            terms = [before[count] + blank[frame - 1, count]] if frame else []
            if count:
                terms.append(row[count - 1] + labels[frame, count - 1])
            row.append(torch.stack(terms).logsumexp(0) if terms else blank.new_zeros(()))
        before = row
    return before[-1] + blank[-1, -1]


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each size."""
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        frames, count = map(int, size.split("x"))
        generator = torch.Generator().manual_seed(0)
        log_probs = torch.randn(frames, count + 1, 20, generator=generator, dtype=torch.float64).log_softmax(-1)
        arcs = [log_probs[..., 0].clone().requires_grad_(), log_probs[:, :-1, 1].clone().requires_grad_()]
        lengths = torch.tensor([frames]), torch.tensor([count])

        def ours(arcs: list[Tensor] = arcs, lengths: tuple[Tensor, Tensor] = lengths) -> tuple[Tensor, ...]:
            total = transducer_log_likelihoods(arcs[0][None], arcs[1][None], *lengths)[0]
            return total, *torch.autograd.grad(total, arcs)

        def naive(arcs: list[Tensor] = arcs) -> tuple[Tensor, ...]:
            total = sum_node_by_node(*arcs)
            return total, *torch.autograd.grad(total, arcs)

        for mine, reference in zip(ours(), naive(), strict=True):
            if not torch.allclose(mine, reference, atol=TOLERANCE):
                raise RuntimeError(f"{size}: sums or gradients differ by {(mine - reference).abs().max():.2g}")
        times = measure_interleaved({"running sums": ours, "node by node": naive}, options.repeats)
        rows.append(
            {
                "frames x labels": size,
                "running sums, ms": 1000 * times["running sums"]["process_seconds"],
                "node by node, ms": 1000 * times["node by node"]["process_seconds"],
                "ratio": times["node by node"]["process_seconds"] / times["running sums"]["process_seconds"],
            }
        )
    return rows
