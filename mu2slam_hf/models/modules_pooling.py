# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The pool of a batch: every frame and token is stored once, and all views are gathered from it.

One index space, "units": unit 0 is [MASK]; units 1 .. U * N are the frames of all utterances (frame n of utterance u
is `1 + u * N + n`); the text tokens follow. A masked position refers to unit 0.
Shapes: U utterances, N encoder frames, P pooled text tokens, R rows, L positions of a row, S sequences of a row,
D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .modules_layers import at_least_float32


def pool_embeddings(token_embeds: Tensor, speech_embeds: Tensor) -> Tensor:
    """Embeddings of all units, `(1 + U * N + P, D)`.

    Args:
        token_embeds: `(1 + P, D)` embeddings of [MASK] and of the pooled text tokens.
        speech_embeds: `(U, N, D)` latent speech representations; their padding is never referred to.
    """
    # (U, N, D) -> (U * N, D)
    frames = speech_embeds.flatten(0, 1)
    return torch.cat([token_embeds[:1], frames.to(token_embeds.dtype), token_embeds[1:]])


def pool_ids(mask_token_id: int, speech_token_ids: Tensor, speech_token_offset: int, text_ids: Tensor) -> Tensor:
    """Vocabulary ids of all units, `(1 + U * N + P,)` int64.

    Args:
        mask_token_id: id of [MASK].
        speech_token_ids: `(U, N)` int64 codebook entries, -100 on padding (never referred to).
        speech_token_offset: id of the first codebook entry.
        text_ids: `(P,)` int64.
    """
    mask = text_ids.new_full((1,), mask_token_id)
    return torch.cat([mask, speech_token_ids.flatten().clamp(min=0) + speech_token_offset, text_ids])


def gather_units(pool: Tensor, units: Tensor) -> Tensor:
    """Rows `(..., D)` of a pool `(n, D)` at `units` `(...)` int64.

    Implemented as an embedding lookup: many positions refer to one row ([MASK]), and the gradient of an embedding is
    summed fast and in a fixed order, unlike that of indexing on some devices.
    """
    return nn.functional.embedding(units, pool)


def mean_by_sequence(states: Tensor, sequence_ids: Tensor, num_slots: int) -> Tensor:
    """Mean state of every sequence of packed rows.

    Args:
        states: `(R, L, D)`.
        sequence_ids: `(R, L)` int64 in `[0, num_slots)`, unique within the row; 0 is padding.
        num_slots: S + 1.

    Returns:
        `(R, S + 1, D)`, at least float32; 0 for absent ids. Slot 0 is the mean of the padding.
    """
    rows = torch.arange(len(states), device=states.device)[:, None]
    # (R, L) -> (R * L,)
    slots = (rows * num_slots + sequence_ids).flatten()
    values = at_least_float32(states).flatten(0, 1)
    sums = values.new_zeros(len(states) * num_slots, values.shape[-1]).index_add(0, slots, values)
    counts = values.new_zeros(len(sums)).index_add(0, slots, values.new_ones(len(slots)))
    return (sums / counts.clamp(min=1)[:, None]).unflatten(0, (len(states), num_slots))


def masked_mean(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Mean `(B, D)` of `states` `(B, N, D)` over the positions where `attention_mask` `(B, N)` is 1."""
    if attention_mask is None:
        return states.mean(dim=1)
    mask = attention_mask.bool()[..., None]
    return states.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def masked_max(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Maximum `(B, D)` of `states` `(B, N, D)` over the positions where `attention_mask` `(B, N)` is 1."""
    if attention_mask is not None:
        states = states.masked_fill(~attention_mask.bool()[..., None], torch.finfo(states.dtype).min)
    return states.amax(dim=1)


class LayerAverage(nn.Module):
    """A learned weighted average of the states of several layers, initialised to equal weights.

    Args:
        num_layers: number of states K.
        normalization: "softmax": the weights are the softmax of the parameter; "none": `1/K` of the parameter, which
            is 1 at first. Paper (Mundnich et al. 2024), Eq. 1: the second, so that the scale is learned too.
    """

    def __init__(self, num_layers: int, normalization: str = "softmax"):
        super().__init__()
        self.num_layers = num_layers
        self.normalization = normalization
        self.weight = nn.Parameter(torch.empty(num_layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Equal weights."""
        init.constant_(self.weight, 0.0 if self.normalization == "softmax" else 1.0)

    def forward(self, hidden_states: Sequence[Tensor]) -> Tensor:
        """Average K states `(B, L, D)` to `(B, L, D)`."""
        weights = at_least_float32(self.weight)
        weights = weights.softmax(dim=0) if self.normalization == "softmax" else weights / self.num_layers
        average = hidden_states[0] * weights[0].to(hidden_states[0].dtype)
        for states, weight in zip(hidden_states[1:], weights[1:], strict=True):
            average = average + states * weight.to(states.dtype)
        return average
