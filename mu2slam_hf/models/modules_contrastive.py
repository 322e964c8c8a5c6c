# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Losses that train a codebook of speech: contrastive loss over masked frames, and diversity of the entries.

Shapes: M frames of any number of utterances, U utterances, N encoder frames of one, Q negatives, D width, G
codebooks, K entries of a codebook.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .modules_precision import at_least_float32


def contrastive_losses(
    context: Tensor, targets: Tensor, negative_frames: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the true target among negatives of the same utterance, by cosine similarity, for each frame.

    Paper: wav2vec 2.0 (Baevski et al. 2020) Eq. 3, also used by w2v-BERT: `-log softmax(cos(c, q) / temperature)`.
    Choice: a negative that equals the target is treated like any other: if all frames have the same code the loss is
    `log(Q + 1)`, not 0, so that a collapsed codebook is not rewarded.
    Uses one product of all pairs of frames of an utterance instead of Q copies of every frame.

    Args:
        context: `(U, N, D)` float; arbitrary at frames that are neither targets nor negatives.
        targets: `(U, N, D)` float, likewise.
        negative_frames: `(U, N, Q)` int64, frames of the same utterance, -1 for none. Frames with at least one
            negative are targets.
        temperature: divisor of the similarities.

    Returns:
        losses `(U, N)` at least float32, 0 for frames that are not targets; and `(U, N)` bool, True on targets.
    """
    present = negative_frames >= 0
    asked = present.any(dim=-1)
    places = negative_frames.clamp(min=0)
    used = torch.zeros_like(places[..., 0]).scatter_add_(1, places.flatten(1), present.flatten(1).long()) > 0
    with torch.autocast(device_type=context.device.type, enabled=False):
        # Selected before the product: padding may hold NaN, and NaN * 0 is NaN in the gradient too.
        context = _unit(torch.where(asked.unsqueeze(-1), context, 0.0))
        targets = _unit(torch.where((asked | used).unsqueeze(-1), targets, 0.0))
        # (U, N, D) x (U, N, D) -> (U, N, N)
        similarities = context @ targets.transpose(1, 2) / temperature
        positive = similarities.diagonal(dim1=1, dim2=2)
        others = similarities.gather(2, places).masked_fill(~present, float("-inf"))
        losses = torch.cat([positive.unsqueeze(-1), others], dim=-1).logsumexp(dim=-1) - positive
    return torch.where(asked, losses, 0.0), asked


def diversity_loss(probabilities: Tensor, frame_entropy_weight: float = 0.0) -> Tensor:
    """Diversity loss of codebooks: 0 if all entries are equally likely, up to 1.

    Paper: w2v-BERT uses that of wav2vec 2.0: `(G K - sum_g exp(H(p_g))) / (G K)`, `p_g` the mean over the batch of the
    softmax of each codebook, without noise and temperature.
    Choice: it is 0 too if every frame has all entries with the same probability, which then says nothing about the
    frame. A weight adds the mean entropy of the distributions of single frames, divided by `log K`.

    Args:
        probabilities: `(M, G, K)` of real frames, which sum to 1 over the last dimension.
        frame_entropy_weight: weight of the entropy of single frames.

    Returns:
        scalar, at least float32, in `[0, 1 - 1 / K]` without this weight; 0 if there are no frames.
    """
    num_frames, num_groups, num_codevectors = probabilities.shape
    probabilities = at_least_float32(probabilities)
    if num_frames == 0:
        return probabilities.sum()
    total = num_groups * num_codevectors
    loss = (total - _entropy(probabilities.mean(dim=0)).exp().sum()) / total
    if frame_entropy_weight:
        loss = loss + frame_entropy_weight * _entropy(probabilities).mean() / math.log(max(num_codevectors, 2))
    return loss


def _entropy(probabilities: Tensor) -> Tensor:
    """Entropy over the last dimension, in nats."""
    # An entry may have probability 0; its logarithm is kept finite for the gradient.
    return -(probabilities * probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()).sum(dim=-1)


def _unit(vectors: Tensor) -> Tensor:
    """Normalise `(..., D)` to length 1, at least float32; zeros stay zeros."""
    return functional.normalize(at_least_float32(vectors), dim=-1)
