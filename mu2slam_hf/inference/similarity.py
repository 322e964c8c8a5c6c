# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Vectors of utterances and texts, and similarities between them.

Shapes: B batch, N encoder positions, D width, Q queries, C candidates, K neighbours.
"""

import torch
from torch import Tensor

from mu2slam_hf.models.modules_layers import at_least_float32
from mu2slam_hf.models.modules_pooling import masked_mean

NEIGHBOURS = 10
"""Number of neighbours for CSLS and margin scores, as in the papers."""


def pool_states(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Mean state of the real positions, in at least float32.

    Args:
        states: `(B, N, D)` of any float type; padding is ignored, even if NaN or infinite.
        attention_mask: `(B, N)`, 1 on real positions, 0 on padding; None when nothing is padded.

    Returns:
        `(B, D)` float32 (float64 for float64 states); zeros for a row without real positions.
    """
    return masked_mean(at_least_float32(states), attention_mask)


def unit_vectors(vectors: Tensor, center: Tensor | None = None) -> Tensor:
    """Vectors of length 1, in at least float32.

    Args:
        vectors: `(B, D)`.
        center: `(D,)`, subtracted first, or None.

    Returns:
        `(B, D)`; zero vectors stay zero, and have similarity 0 to all others.

    Choice: the mean over many vectors of one modality accounts for most of the length of each vector, and separates
    speech from text regardless of the content; without it, cosines compare the differences between utterances.
    """
    vectors = at_least_float32(vectors)
    if center is not None:
        vectors = vectors - center.to(vectors)
    lengths = vectors.norm(dim=-1, keepdim=True)
    return torch.where(lengths > 0, vectors / lengths.clamp(min=torch.finfo(vectors.dtype).tiny), 0.0)


def cosine_similarities(queries: Tensor, candidates: Tensor) -> Tensor:
    """Cosine of every query with every candidate.

    Args:
        queries: `(Q, D)`.
        candidates: `(C, D)`.

    Returns:
        `(Q, C)` in at least float32, from -1 to 1.

    Raises:
        ValueError: the widths differ.
    """
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            f"Expected vectors (Q, D) and (C, D) of the same width, got {tuple(queries.shape)} and "
            f"{tuple(candidates.shape)}."
        )
    return (unit_vectors(queries) @ unit_vectors(candidates).T).clamp(min=-1.0, max=1.0)


def neighbour_means(similarities: Tensor, num_neighbours: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """Mean similarity of each query, and each candidate, to its nearest neighbours on the other side.

    Args:
        similarities: `(Q, C)`.
        num_neighbours: K; limited to the number of vectors.

    Returns:
        `(Q,)` and `(C,)`.
    """
    if num_neighbours < 1:
        raise ValueError(f"num_neighbours must be at least 1, got {num_neighbours}.")
    queries, candidates = similarities.shape
    of_queries = similarities.topk(min(num_neighbours, candidates), dim=1).values.mean(dim=1)
    of_candidates = similarities.topk(min(num_neighbours, queries), dim=0).values.mean(dim=0)
    return of_queries, of_candidates


def csls_scores(similarities: Tensor, num_neighbours: int = NEIGHBOURS) -> Tensor:
    """Cross-domain similarity local scaling: `2 s - r_query - r_candidate`, r the means of the K best.

    It lowers the scores of candidates that are similar to everything ("hubs").

    Paper: Conneau et al. (2018), Word translation without parallel data, section 2.3.

    Args:
        similarities: `(Q, C)`.
        num_neighbours: K.

    Returns:
        `(Q, C)`.
    """
    of_queries, of_candidates = neighbour_means(similarities, num_neighbours)
    return 2 * similarities - of_queries[:, None] - of_candidates[None]
