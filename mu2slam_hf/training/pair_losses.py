# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Losses of pairs of embeddings, and the rows of all processes that they compare with.

Shapes: n pairs of this process, N pairs of all processes, P width of an embedding.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from mu2slam_hf.models.modules_layers import at_least_float32


def in_batch_softmax_sums(
    queries: Tensor,
    candidates: Tensor,
    first: int = 0,
    *,
    scale: float = 1.0,
    margin: float = 0.0,
    equal: Tensor | None = None,
) -> Tensor:
    """Softmax loss of every query over all candidates, `-log e^l_ii / sum_j e^l_ij`.

    With the logits `l_ij = scale * (q_i . c_j - margin * [i = j])`.
    Paper: PaLM 2 DE, equation 1, which lacks the logarithm; Yang et al. 2019 for both directions and the margin.

    Args:
        queries: `(n, P)`.
        candidates: `(N, P)`; that of query i is row `first + i`.
        first: see above.
        scale: factor of the similarities, the inverse of a temperature.
        margin: subtracted from the similarity of each pair.
        equal: `(n, N)` bool, True where a candidate has the same content as that of the query: it is no negative.
            Choice: a sentence that two people read would otherwise be its own negative.

    Returns:
        `(n,)` in at least float32; 0 for a single candidate.
    """
    similarities = at_least_float32(queries) @ at_least_float32(candidates).T
    own = torch.arange(len(queries), device=queries.device) + first
    is_own = nn.functional.one_hot(own, len(candidates)).bool()
    logits = scale * (similarities - margin * is_own.to(similarities.dtype))
    if equal is not None:
        logits = logits.masked_fill(equal & ~is_own, torch.finfo(logits.dtype).min)
    return nn.functional.cross_entropy(logits, own, reduction="none")


def spread_out_loss(embeddings: Tensor, equal: Tensor | None = None) -> Tensor:
    """Spread-out regularisation, `M1^2 + max(0, M2 - 1/P)`.

    M1 is the mean, M2 the mean square of the cosines of all pairs of different rows.
    Paper: PaLM 2 DE, section 2.2, and Zhang et al. 2017, equation 5. Choice: cosines, although the dot products of
    the softmax are not normalised.

    Args:
        embeddings: `(N, P)`.
        equal: `(N, N)` bool, True for rows of the same content, which are left out.

    Returns:
        0-d, at least float32; 0 without a pair.
    """
    units = nn.functional.normalize(at_least_float32(embeddings), dim=-1)
    is_pair = ~torch.eye(len(units), dtype=torch.bool, device=units.device)
    if equal is not None:
        is_pair &= ~equal
    count = is_pair.sum().clamp(min=1)
    cosines = torch.where(is_pair, units @ units.T, 0.0)
    mean, mean_square = cosines.sum() / count, cosines.square().sum() / count
    return mean.square() + (mean_square - 1.0 / units.shape[1]).clamp(min=0.0)


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes, with gradients to their owners, and the position of the first one of this process.

    Args:
        rows: `(n, ...)`; n may differ between processes and be 0.

    Returns:
        `(N, ...)`, in the order of the ranks; and the position. Without processes `rows` and 0.
    """
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return rows, 0
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(count) for count in counts]
    return _Gather.apply(rows, lengths), sum(lengths[: distributed.get_rank()])


class _Gather(torch.autograd.Function):
    """All-gather of padded rows; the gradients of all processes are summed at the owner of a row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, lengths: list[int]) -> Tensor:
        longest, rank = max(lengths), distributed.get_rank()
        ctx.first, ctx.count = sum(lengths[:rank]), lengths[rank]
        padded = rows.new_zeros(longest, *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total[ctx.first : ctx.first + ctx.count], None
