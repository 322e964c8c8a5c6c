# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tokens that were added for some languages only (`config.restricted_tokens`), and their exclusion in the others.

Shapes: B utterances, R rows (batch x beams), N encoder frames, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

NEGATIVE_LOGIT = -1e4
"""Logit of an excluded token, as of all others that CTC must not emit; finite, so that alignment gives no NaN."""


def excluded_tokens(config: Any, language_rows: Tensor | Sequence[int]) -> Tensor | None:
    """Tokens that must not be written, because they were added for other languages.

    Args:
        config: configuration of the model.
        language_rows: `(B,)` int64 rows of `config.languages`; nothing was added for row 0 (`und`).

    Returns:
        `(B, V)` bool, True on excluded tokens, on the device of the rows; None if no token belongs to some languages
        only.
    """
    listed = getattr(config, "restricted_tokens", None)
    if not listed:
        return None
    rows = torch.as_tensor(language_rows)
    excluded = torch.zeros(config.num_languages, config.vocab_size, dtype=torch.bool)
    excluded[:, sorted({token for tokens in listed.values() for token in tokens})] = True
    for code, tokens in listed.items():
        excluded[config.languages.index(code), tokens] = False
    return excluded.to(rows.device)[rows]


def exclude_from_ctc(logits: Tensor, excluded: Tensor | None) -> Tensor:
    """CTC logits (or log posteriors) without the excluded tokens.

    Args:
        logits: `(B, N, V)` float.
        excluded: `(B, V)` bool of [`excluded_tokens`], or None.

    Returns:
        `logits` itself if `excluded` is None. Of log posteriors, `log_softmax` of the result is those of a model
        without the excluded tokens.
    """
    return logits if excluded is None else logits.masked_fill(excluded[:, None], NEGATIVE_LOGIT)


def find_best_tokens(logits: Tensor, config: Any, language_rows: Tensor | Sequence[int]) -> Tensor:
    """The most probable token of each frame among those of the language, for greedy CTC.

    Args:
        logits: `(B, N, V)` float CTC logits.
        config: configuration of the model.
        language_rows: `(B,)` int64 rows of `config.languages`; a negative row is an unknown language, as row 0.

    Returns:
        `(B, N)` int64 ids; without tokens that were added for some languages only, those of the largest logits.
    """
    rows = torch.as_tensor(language_rows, device=logits.device).clamp(min=0)
    return exclude_from_ctc(logits, excluded_tokens(config, rows)).argmax(dim=-1)


class LanguageTokensLogitsProcessor(LogitsProcessor):
    """Mask the tokens that were added for other languages, as if the model did not have them.

    Beam search passes log probabilities and compares sums of them. The probability of masked tokens is therefore
    distributed over the others, by a constant per row, which changes neither greedy search nor sampling.

    Args:
        excluded: `(B, V)` bool of [`excluded_tokens`].
    """

    def __init__(self, excluded: Tensor):
        self.excluded = excluded

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)`, `scores` `(R, V)`; returns scores with -inf on masked tokens."""
        excluded = self.excluded.repeat_interleave(scores.shape[0] // self.excluded.shape[0], dim=0)
        kept = scores.masked_fill(excluded, -float("inf"))
        # Rows without a masked token are left as they are, to the bit.
        shift = torch.logsumexp(scores, dim=-1) - torch.logsumexp(kept, dim=-1)
        return kept + torch.where(excluded.any(dim=-1), shift, 0.0)[:, None]
