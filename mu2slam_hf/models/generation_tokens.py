# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which tokens an output may have, and how many.

Shapes: B batch, R rows (batch x beams), L tokens, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor


class AllowedTokensLogitsProcessor(LogitsProcessor):
    """Mask every token that does not belong to the target modality.

    Args:
        allowed: `(V,)` bool, True on tokens that may be generated.
    """

    def __init__(self, allowed: Tensor):
        self.allowed = allowed

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)`, `scores` `(R, V)`; returns scores with -inf on masked tokens."""
        return scores.masked_fill(~self.allowed, -float("inf"))


class RowLengthLogitsProcessor(LogitsProcessor):
    """End each row at its own length limit, so that the output for a source does not depend on its batch.

    Args:
        limits: `(B,)` int64 maximum number of new tokens of each item, including `</s>`.
        eos_token_id: id of `</s>`.
    """

    def __init__(self, limits: Tensor, eos_token_id: int):
        self.limits = limits
        self.eos_token_id = eos_token_id
        self.prompt_length: int | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)`, `scores` `(R, V)`; in rows at their limit only `</s>` remains."""
        if self.prompt_length is None:
            self.prompt_length = input_ids.shape[1]
        limits = self.limits.repeat_interleave(input_ids.shape[0] // self.limits.shape[0])
        at_end = input_ids.shape[1] - self.prompt_length >= limits - 1
        others = torch.arange(scores.shape[-1], device=scores.device) != self.eos_token_id
        return scores.masked_fill(at_end[:, None] & others, -float("inf"))


# Choice: a loop has at least this many tokens, so that "no no no no" and long numbers are not loops.
_MIN_LOOP_TOKENS = 20
_MAX_PERIOD = 48


def find_loop(ids: Sequence[int], max_repeats: int) -> int | None:
    """The length to which a sequence that ends in a loop is cut, so that what is repeated stands once; else None.

    Args:
        ids: tokens without special tokens.
        max_repeats: number of repetitions that are allowed.
    """
    ids = list(ids)
    for period in range(1, min(_MAX_PERIOD, len(ids) // (max_repeats + 1)) + 1):
        length = max(period * (max_repeats + 1), _MIN_LOOP_TOKENS)
        if length <= len(ids) and ids[-length:-period] == ids[-length + period :]:
            start = len(ids) - length
            while start > 0 and ids[start - 1] == ids[start - 1 + period]:
                start -= 1
            return start + period
    return None


class LoopLogitsProcessor(LogitsProcessor):
    """End rows that are in a loop.

    Args:
        max_repeats: number of repetitions that are allowed.
        eos_token_id: id of `</s>`.
        exempt: `(B,)` bool, True for items that may repeat themselves, because CTC confirms every token; or None.

    Raises:
        ValueError: `max_repeats` is below 1.
    """

    def __init__(self, max_repeats: int, eos_token_id: int, exempt: Tensor | None = None):
        if max_repeats < 1:
            raise ValueError(f"max_repeats must be at least 1, or None for no limit; got {max_repeats}.")
        self.max_repeats = max_repeats
        self.eos_token_id = eos_token_id
        self.exempt = exempt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Args: `input_ids` `(R, L)` with `<s>` first, `scores` `(R, V)`; in a loop only `</s>` remains."""
        if input_ids.shape[1] <= _MIN_LOOP_TOKENS:
            return scores
        rows = input_ids[:, 1:].tolist()
        looping = torch.tensor([find_loop(row, self.max_repeats) is not None for row in rows], device=scores.device)
        if self.exempt is not None:
            looping &= ~self.exempt.repeat_interleave(len(rows) // len(self.exempt))
        others = torch.arange(scores.shape[-1], device=scores.device) != self.eos_token_id
        return scores.masked_fill(looping[:, None] & others, -float("inf"))


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
