# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which tokens an output may have, and how many.

Shapes: B batch, R rows (batch x beams), L tokens, V vocabulary.
"""

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
