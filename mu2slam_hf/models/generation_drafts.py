# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Drafts of transcripts: the best path of CTC, which the decoder checks several tokens at a time.

Shapes: B utterances, N encoder frames, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

FIRST_BLOCK, SMALLEST_BLOCK, LARGEST_BLOCK = 16, 4, 64
"""Numbers of tokens that are checked at a time: at first, and the limits as they follow what was accepted."""


class Draft:
    """A proposed text, and the place in it that the text written so far has reached.

    Args:
        tokens: the proposed text.
    """

    def __init__(self, tokens: Sequence[int]):
        self.tokens = np.asarray(tokens, dtype=np.int64)
        self.place = 0
        self.block = FIRST_BLOCK
        self._unaligned: list[int] = []
        # Edit distances between the text written so far and each beginning of the draft.
        self._distances = np.arange(len(self.tokens) + 1)

    def propose(self, longest: int) -> list[int]:
        """The next tokens of the draft, at most `longest`; none at its end."""
        return self.tokens[self.place : self.place + min(longest, self.block)].tolist()

    def follow(self, written: Sequence[int]) -> None:
        """Move on after tokens were written.

        Where the text leaves the draft, the draft goes on after its beginning with the smallest edit distance to
        the text. Of equal distances, one that ends with the token just written comes first, then the one nearest to
        a replacement of the token that was not accepted.

        Args:
            written: new tokens of the text.
        """
        if not len(self.tokens):
            return
        self._unaligned += written
        expected = self.tokens[self.place : self.place + len(written)].tolist()
        if expected == list(written):
            self.place += len(written)
            self.block = min(2 * self.block, LARGEST_BLOCK)
            return
        differing = (one != other for one, other in zip(written, expected, strict=False))
        accepted = next((place for place, differs in enumerate(differing) if differs), len(expected))
        self.block = min(max(2 * accepted, SMALLEST_BLOCK), LARGEST_BLOCK)
        for token in self._unaligned:
            self._distances = _extend_distances(self._distances, self.tokens, token)
        self._unaligned = []
        ends = np.flatnonzero(self._distances == self._distances.min())
        matching = ends[(ends > 0) & (self.tokens[ends - 1] == written[-1])]
        ends = matching if len(matching) else ends
        self.place = int(ends[np.abs(ends - (self.place + accepted + 1)).argmin()])


def _extend_distances(distances: np.ndarray, tokens: np.ndarray, token: int) -> np.ndarray:
    """Edit distances `(M + 1,)` of a text to all beginnings of `tokens` `(M,)`, after one more token of the text."""
    steps = np.arange(len(distances))
    added = distances + 1
    added[1:] = np.minimum(added[1:], distances[:-1] + (tokens != token))
    # A deletion after any of these: the running minimum along a diagonal.
    return np.minimum.accumulate(added - steps) + steps


def build_ctc_drafts(log_probs: Tensor, lengths: Tensor, blank: int) -> list[list[int]]:
    """Best paths of CTC.

    Args:
        log_probs: `(B, N, V)` float logits or log posteriors.
        lengths: `(B,)` int64 number of real frames.
        blank: id of the blank.

    Returns:
        tokens of each utterance, without blanks and repetitions.
    """
    best = log_probs.argmax(dim=-1).cpu()
    paths = [torch.unique_consecutive(row[:length]) for row, length in zip(best, lengths.tolist(), strict=True)]
    return [path[path != blank].tolist() for path in paths]
