# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Lengths of texts in tokens."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

_BATCH_SIZE = 8192


def count_characters(text: str) -> int:
    """Number of tokens of a text for a character tokenizer."""
    return len(text)


class TokenCounter:
    """Counts the tokens of a text, without special tokens; counts of known texts are kept.

    A tokenizer takes most of the time of a call for the call itself, so that a million texts one by one take minutes.

    Args:
        tokenizer: a `Mu2SLAMTokenizer`, or that of another model.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._counts: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Number of tokens of one text."""
        count = self._counts.get(text)
        return len(self._encode([text])[0]) if count is None else count

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if hasattr(self._tokenizer, "encode_ctc_labels"):
            return list(self._tokenizer.encode_ctc_labels(texts))
        return list(self._tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"])

    def count_all(self, texts: Iterable[str]) -> None:
        """Count and keep all texts, in batches."""
        new = iter(dict.fromkeys(text for text in texts if text not in self._counts))
        while batch := list(islice(new, _BATCH_SIZE)):
            self._counts.update(zip(batch, map(len, self._encode(batch)), strict=True))


def build_token_counter(tokenizer: Any) -> Callable[[str], int]:
    """A function that counts the tokens of a text; for character tokenizers without running the tokenizer."""
    if type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel":
        return count_characters
    return TokenCounter(tokenizer)
