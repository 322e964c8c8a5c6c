# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Noisy fine-tuning: some decoder inputs are replaced by near neighbours of their embeddings, targets are not.

Paper: section 2.4, "we randomly replace some tokens in the decoder inputs with their synonym tokens measured by the
word embeddings"; section 3.1: in 6 % of the positions.
Legend: B rows, L decoder positions, V vocabulary rows, D width, C candidates, U replaced positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional

from mu2slam_hf.data.random_keys import counter_generator

SEARCH_CHUNK_ROWS = 1024
"""Number of tokens per neighbour search: bounds the matrix of similarities, does not change the result."""


@strict
@dataclass(kw_only=True)
class DecoderNoiseConfig:
    """How many decoder inputs are replaced, and by what.

    Attributes:
        ratio: probability that a token is replaced. Paper: 0.06; more does not help into English, harms from English.
        k: number of nearest neighbours by cosine among which the replacement is drawn. Choice: 8; not in the paper.
    """

    ratio: float | int = 0.06
    k: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"`ratio` must be in [0, 1], got {self.ratio}")
        if self.k < 1:
            raise ValueError(f"`k` must be at least 1, got {self.k}")


def find_neighbours(embeddings: Tensor, token_ids: Tensor, candidates: tuple[int, int], k: int) -> Tensor:
    """Nearest neighbours of tokens by the cosine of their embeddings, nearest first, without the token itself.

    Args:
        embeddings: `(V, D)` float.
        token_ids: `(U,)` int64.
        candidates: first row and row after the last one among which neighbours are searched.
        k: number of neighbours; fewer if there are fewer candidates.

    Returns:
        `(U, k')` int64 with `k' = min(k, number of candidates - 1)`; at least one candidate must remain.
    """
    first, last = candidates
    table = functional.normalize(embeddings[first:last].float(), dim=-1)
    k = min(k, last - first - 1)
    results = []
    for chunk in token_ids.split(SEARCH_CHUNK_ROWS):
        vectors = functional.normalize(embeddings[chunk].float(), dim=-1)
        # (u, D) x (D, C) -> (u, C)
        similarity = vectors @ table.T
        own = chunk - first
        inside = (own >= 0) & (own < last - first)
        similarity[inside.nonzero().squeeze(1), own[inside]] = -torch.inf
        results.append(similarity.topk(k, dim=-1).indices + first)
    return torch.cat(results) if results else token_ids.new_zeros((0, k))


def draw_noise(seed: int, step: int, record_ids: Sequence[str], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Uniform numbers for every position, a function of seed, update, record and position only.

    They do not depend on padding, on the number of processes, or on a resume.

    Args:
        seed: seed of the run.
        step: number of the update.
        record_ids: one per row; rows without a record (a batch of silence) have the empty name.
        shape: `(B, L)`.

    Returns:
        Two tensors `(B, L)` float64 in [0, 1): whether to replace, and by which neighbour.
    """
    rows, width = shape
    names = [*map(str, record_ids), *[""] * rows][:rows]
    uniform = np.empty((rows, width, 2))
    for row, name in enumerate(names):
        # Two numbers per position, in the order of positions, so that the length of a row does not change them.
        uniform[row] = counter_generator(seed, "decoder_noise", step, name).random((width, 2))
    drawn = torch.from_numpy(uniform)
    return drawn[..., 0], drawn[..., 1]


class DecoderNoise:
    """Replaces decoder inputs by neighbours of the same kind: text by text, speech ids by speech ids.

    Special tokens (`<s>` among them) are neither replaced nor inserted; tokens of languages are not replaced.
    Choice: neighbours are searched for the drawn tokens only, at every update, in the current embeddings. This is
    less work than a table of all tokens that is rebuilt regularly (U is a few hundred), it follows the embeddings
    during training, and checkpoints need no table.

    Args:
        config: configuration of the model, for the first speech id and the first text id.
        noise: ratio and k for batches without settings of their own; None for no noise.
        seed: seed of the run.
    """

    def __init__(self, config: Any, noise: DecoderNoiseConfig | None = None, *, seed: int = 0) -> None:
        speech = config.speech_token_offset
        self.ranges = [
            (speech, speech + config.num_speech_tokens),
            (config.text_token_offset, config.vocab_size),
        ]
        self.languages = torch.tensor(getattr(config, "language_token_ids", None) or [], dtype=torch.int64)
        self.noise, self.seed = noise, seed

    @torch.no_grad()
    def __call__(
        self, model: nn.Module, input_ids: Tensor, *, step: int, record_ids: Sequence[str], settings: Any = None
    ) -> Tensor:
        """Noisy decoder inputs of one batch.

        Args:
            model: model with the embeddings.
            input_ids: `(B, L)` int64, packed or not.
            step: number of the update.
            record_ids: record ids of the rows.
            settings: `{"ratio": ..., "k": ...}` of the batch; None for those of the run.

        Returns:
            `(B, L)` int64; `input_ids` itself if there is no noise.
        """
        noise = self.noise if settings is None else DecoderNoiseConfig(**settings)
        if noise is None or noise.ratio == 0:
            return input_ids
        embeddings = find_decoder_embeddings(model)
        shape = (input_ids.shape[0], input_ids.shape[1])
        whether, which = (u.to(input_ids.device) for u in draw_noise(self.seed, step, record_ids, shape))
        noisy = input_ids.clone()
        if len(self.languages):
            whether = whether.masked_fill(torch.isin(input_ids, self.languages.to(input_ids.device)), 1.0)
        for first, last in self.ranges:
            chosen = (whether < noise.ratio) & (input_ids >= first) & (input_ids < last)
            if last - first < 2 or not bool(chosen.any()):
                continue
            # Neighbours of each distinct token are searched once.
            tokens, back = input_ids[chosen].unique(return_inverse=True)
            neighbours = find_neighbours(embeddings, tokens, (first, last), noise.k)
            noisy[chosen] = neighbours[back, (which[chosen] * neighbours.shape[1]).long()]
        return noisy


def find_decoder_embeddings(model: nn.Module) -> Tensor:
    """`(V, D)` table of the decoder's word embeddings, whatever wraps the model; gathered if it is sharded."""
    for name, module in model.named_modules():
        if name.endswith("decoder.embed_tokens"):
            weight = module.weight
            return weight.full_tensor() if hasattr(weight, "full_tensor") else weight
    raise ValueError(f"{type(model).__name__} has no decoder.embed_tokens: decoder noise requires a decoder.")
