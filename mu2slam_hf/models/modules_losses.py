# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Losses as pure functions. Each returns a sum and a count, so that averages over ranks and steps are exact.

Shapes: B batch, N encoder frames, L target positions, V vocabulary, C classes, K labelled positions, G kinds of loss.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .modules_layers import at_least_float32

IGNORE_INDEX = -100
MAX_LOGITS_KEPT = 2**26
"""Maximum number of logits of a softmax stored for the backward pass (256 MiB as float32)."""


def cross_entropy_by_position(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, smoothing_rows: Tensor | None = None
) -> Tensor:
    """Cross entropy of every position, in float32.

    Args:
        logits: `(..., V)`.
        labels: `(...)` int64, -100 is ignored.
        label_smoothing: share of the target mass distributed evenly over `smoothing_rows`.
        smoothing_rows: `(V,)` bool, True on classes used in smoothing; None means all.

    Returns:
        `(...)` at least float32, exactly 0 where the label is -100.
    """
    flat = labels.reshape(-1)
    log_probs = nn.functional.log_softmax(at_least_float32(logits.reshape(-1, logits.shape[-1])), dim=-1)
    losses = nn.functional.nll_loss(log_probs, flat, ignore_index=IGNORE_INDEX, reduction="none")
    if label_smoothing > 0.0:
        if smoothing_rows is None:
            spread = log_probs.mean(dim=-1)
        else:
            rows = smoothing_rows.to(log_probs.dtype)
            spread = log_probs @ (rows / rows.sum())
        mixed = (1.0 - label_smoothing) * losses - label_smoothing * spread
        losses = torch.where(flat != IGNORE_INDEX, mixed, torch.zeros_like(losses))
    return losses.view(labels.shape)


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy in float32, summed over the labelled positions.

    Args:
        logits: `(..., V)`.
        labels: `(...)` int64, -100 is ignored.

    Returns:
        Scalar sum (a differentiable 0 if no position is labelled) and int64 count.
    """
    logits = at_least_float32(logits.reshape(-1, logits.shape[-1]))
    loss = nn.functional.cross_entropy(logits, labels.reshape(-1), ignore_index=IGNORE_INDEX, reduction="sum")
    return loss, (labels != IGNORE_INDEX).sum()


def cross_entropy_mean(logits: Tensor, labels: Tensor, num_items: Tensor | int | None = None) -> Tensor:
    """Mean cross entropy per labelled position; 0 if there is none.

    Args:
        logits: `(..., V)`.
        labels: `(...)` int64, -100 is ignored.
        num_items: divisor in place of the count (targets over all accumulation steps).
    """
    count = (labels != IGNORE_INDEX).sum()
    total = cross_entropy_by_position(logits, labels).sum()
    return total / (count.clamp(min=1) if num_items is None else num_items)


def cross_entropy_of_states(
    states: Tensor, labels: Tensor, head: Callable[[Tensor], Tensor], max_logits: int = MAX_LOGITS_KEPT
) -> Tensor:
    """Cross entropy of a softmax on selected hidden states, per position, in float32.

    Choice: if the logits would require too much memory (a vocabulary of 64k), positions are processed in chunks whose
    logits are recomputed in the backward pass: one more product with the table instead of gigabytes.

    Args:
        states: `(K, D)` hidden states of the labelled positions.
        labels: `(K,)` int64, -100 is ignored.
        head: hidden states `(k, D)` to logits `(k, V)`.
        max_logits: maximum number of logits to store; V is `head.out_features`.

    Returns:
        `(K,)` at least float32, exactly 0 where the label is -100.
    """

    def compute(chunk: Tensor, chunk_labels: Tensor) -> Tensor:
        return cross_entropy_by_position(head(chunk), chunk_labels)

    chunk_size = max(1, max_logits // head.out_features)
    if len(labels) <= chunk_size:
        return compute(states, labels)
    chunks = zip(states.split(chunk_size), labels.split(chunk_size), strict=True)
    return torch.cat([checkpoint(compute, *chunk, use_reentrant=False) for chunk in chunks])


def sum_by_kind(values: Tensor, kinds: Tensor, num_kinds: int) -> Tensor:
    """Sums `(G,)` of `values` `(K,)` over the positions of each kind; `kinds` `(K,)` int64 in `[0, num_kinds)`."""
    return values.new_zeros(num_kinds).index_add(0, kinds, values)


def softmax_sums(
    head: nn.Linear, states: Tensor, positions: Tensor, labels: Tensor, kinds: Tensor, num_kinds: int
) -> tuple[Tensor, Tensor]:
    """Sums and counts `(G,)` of the cross entropy of one softmax at selected positions, by kind.

    Args:
        head: hidden states to logits.
        states: `(R, L, D)`.
        positions: `(K,)` int64 flat positions `r * L + l`; may be empty, the head then receives a zero gradient.
        labels: `(K,)` int64, -100 is ignored.
        kinds: `(K,)` int64 in `[0, num_kinds)`.
        num_kinds: G.
    """
    if len(positions) == 0:
        positions = kinds = positions.new_zeros(1)
        labels = labels.new_full((1,), IGNORE_INDEX)
    # (R, L, D) -> (R * L, D) -> (K, D)
    losses = cross_entropy_of_states(states.flatten(0, 1).index_select(0, positions), labels, head)
    counted = (labels != IGNORE_INDEX).to(losses.dtype)
    return sum_by_kind(losses, kinds, num_kinds), sum_by_kind(counted, kinds, num_kinds)


def weighted_mean_sum(sums: Tensor, counts: Tensor, weights: Tensor | None = None) -> Tensor:
    """`sum_k weights_k * sums_k / counts_k`, a scalar; losses without targets are 0.

    Args:
        sums: `(G,)` summed losses.
        counts: `(G,)` number of targets per loss.
        weights: `(G,)` coefficients; 1 by default.
    """
    weighted = sums if weights is None else weights.to(sums) * sums
    return (weighted / counts.clamp(min=1)).sum()


def mask_ctc_logits(logits: Tensor, config) -> Tensor:
    """Mask the ids that CTC must not emit: special tokens except blank and unknown, and the speech codebook.

    Args:
        logits: `(B, N, V)`.
        config: configuration with `pad_token_id` (the blank), `unk_token_id` and `text_token_offset`.

    Returns:
        `(B, N, V)` at least float32.
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    allowed = (ids >= config.text_token_offset) | (ids == config.pad_token_id) | (ids == config.unk_token_id)
    return at_least_float32(logits).masked_fill(~allowed, -1e4)


def named_means(names: Sequence[str], sums: Tensor, counts: Tensor) -> dict[str, float]:
    """Mean per target of every loss that has targets.

    Args:
        names: K names.
        sums: `(K,)` summed losses.
        counts: `(K,)` number of targets per loss.
    """
    rows = zip(names, sums.tolist(), counts.tolist(), strict=True)
    return {name: total / count for name, total, count in rows if count > 0}


def find_alignable(labels: Tensor, frame_lengths: Tensor) -> Tensor:
    """Rows with enough frames for CTC: one per label, and one between equal adjacent labels.

    Args:
        labels: `(B, L)` int64, -100 on padding.
        frame_lengths: `(B,)` int64 number of encoder frames.

    Returns:
        `(B,)` bool, False also for rows without labels.
    """
    valid = labels != IGNORE_INDEX
    lengths = valid.sum(-1)
    repeats = ((labels[:, 1:] == labels[:, :-1]) & valid[:, 1:]).sum(-1)
    return (lengths > 0) & (lengths + repeats <= frame_lengths)


def count_alignable(labels: Tensor, frame_lengths: Tensor) -> Tensor:
    """Number of labels in the rows of [`find_alignable`], the targets of CTC: int64 scalar."""
    return (labels[find_alignable(labels, frame_lengths)] != IGNORE_INDEX).sum()


def ctc_sum(logits: Tensor, frame_mask: Tensor, labels: Tensor, blank: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """CTC loss in float32, summed over utterances.

    Paper: section 2.3, CTC is active on ASR data only.
    Choice: an utterance whose labels cannot be aligned (more labels than frames, including blanks between repeats)
    contributes 0 and is counted, instead of an infinite loss.

    Args:
        logits: `(B, N, V)`; ids that must not be emitted have large negative logits.
        frame_mask: `(B, N)` bool, True on real frames.
        labels: `(B, L)` int64, -100 on padding; a row of -100 has no target.
        blank: id of the blank.

    Returns:
        Scalar sum, int64 count of target tokens, int64 count of utterances that could not be aligned.
    """
    valid = labels != IGNORE_INDEX
    target_lengths, input_lengths = valid.sum(-1), frame_mask.sum(-1)
    alignable = find_alignable(labels, input_lengths)
    losses = nn.functional.ctc_loss(
        # (B, N, V) -> (N, B, V)
        nn.functional.log_softmax(at_least_float32(logits), dim=-1).transpose(0, 1),
        labels.masked_fill(~valid, blank),
        input_lengths,
        target_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=True,
    )
    losses = torch.where(alignable, losses, torch.zeros_like(losses))
    return losses.sum(), target_lengths[alignable].sum(), ((target_lengths > 0) & ~alignable).sum()


def ctc_loss(
    logits: Tensor,
    frame_mask: Tensor | None,
    labels: Tensor,
    blank: int = 0,
    reduction: str = "mean",
    num_items: Tensor | int | None = None,
) -> Tensor:
    """CTC loss of a batch as a scalar.

    Args:
        logits: as in [`ctc_sum`].
        frame_mask: `(B, N)`, 1 or True on real frames; None when nothing is padded.
        labels: as in [`ctc_sum`].
        blank: id of the blank.
        reduction: "mean" per target token, or "sum".
        num_items: divisor of the mean in place of the count (targets over all accumulation steps).
    """
    mask = torch.ones(logits.shape[:2], device=logits.device) if frame_mask is None else frame_mask
    total, count, _ = ctc_sum(logits, mask.bool(), labels, blank)
    if reduction == "sum":
        return total
    return total / (count if num_items is None else torch.as_tensor(num_items)).clamp(min=1)


def shift_tokens_right(labels: Tensor, pad_token_id: int, decoder_start_token_id: int) -> Tensor:
    """Decoder inputs for teacher forcing: the start token, then the labels without the last one.

    Args:
        labels: `(B, L)` int64; -100 is replaced by padding.
        pad_token_id: id that replaces -100.
        decoder_start_token_id: id of `<s>`.
    """
    shifted = torch.full_like(labels, decoder_start_token_id)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill(shifted == IGNORE_INDEX, pad_token_id)


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
    indices = negative_frames.clamp(min=0)
    used = torch.zeros_like(indices[..., 0]).scatter_add_(1, indices.flatten(1), present.flatten(1).long()) > 0
    with torch.autocast(device_type=context.device.type, enabled=False):
        # Selected before the product: padding may hold NaN, and NaN * 0 is NaN in the gradient too.
        context = _unit(torch.where(asked.unsqueeze(-1), context, 0.0))
        targets = _unit(torch.where((asked | used).unsqueeze(-1), targets, 0.0))
        # (U, N, D) x (U, N, D) -> (U, N, N)
        similarities = context @ targets.transpose(1, 2) / temperature
        positive = similarities.diagonal(dim1=1, dim2=2)
        others = similarities.gather(2, indices).masked_fill(~present, float("-inf"))
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
