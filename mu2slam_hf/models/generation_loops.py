# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loops of a decoder, which repeats the last words again and again: found, ended and cut off.

Shapes: R rows, L tokens, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

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
