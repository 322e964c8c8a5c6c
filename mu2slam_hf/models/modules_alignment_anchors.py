# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Where in a text the frames of a recording are, roughly: by the tokens that CTC is surest of.

Shapes: N encoder frames, G recognised tokens, L tokens of the text, `k` tokens of an anchor.
"""

from bisect import bisect_left

import numpy as np

# Number of equal tokens in a row that make an anchor.
_ANCHOR_TOKENS = 10
_OTHER = -2


def estimate_places(values: np.ndarray, labels: np.ndarray, blank: int, best: np.ndarray) -> np.ndarray:
    """The place in the text at which each frame probably is.

    The best token of every frame is compared with the text. Anchors are sequences of tokens that both have exactly
    once, in the same order. Between them, a place moves on in proportion to the recognised tokens, so that it stands
    still in pauses.

    Args:
        values: `(N, V)` log probabilities of at least the labels and the blank.
        labels: `(L,)` int64 tokens of the text; negative ones match no token.
        blank: id of the blank.
        best: `(N,)` log probability of the best label of each frame, which may not be among those of `values`.

    Returns:
        `(N,)` float64 from 0 to L, ascending.
    """
    tokens = np.where(values.max(axis=1) >= best, values.argmax(axis=1), _OTHER)
    begins = tokens != blank
    begins[1:] &= tokens[1:] != tokens[:-1]
    spoken = tokens[begins]
    anchors = _longest_ascending(_shared_once(spoken, labels))
    middle = _ANCHOR_TOKENS / 2
    heard = np.array([0.0, *(first + middle for first, _ in anchors), max(len(spoken), 1)])
    written = np.array([0.0, *(second + middle for _, second in anchors), len(labels)])
    return np.interp(np.cumsum(begins), heard, written)


def _shared_once(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Places of sequences of `k` tokens that both `(G,)` and `(L,)` have once, by place in the first one."""
    hashes, places = [], []
    for tokens in (first, second):
        if len(tokens) < _ANCHOR_TOKENS:
            return []
        windows = np.lib.stride_tricks.sliding_window_view(tokens, _ANCHOR_TOKENS)
        powers = np.array([pow(0x9E3779B97F4A7C15, power, 2**64) for power in range(_ANCHOR_TOKENS)], dtype=np.uint64)
        # Overflow is meant: a polynomial modulo 2 ** 64.
        hashed = (windows.astype(np.uint64) * powers).sum(axis=1, dtype=np.uint64)
        found, index, counts = np.unique(hashed, return_index=True, return_counts=True)
        once = (counts == 1) & (windows[index] >= 0).all(axis=1)
        hashes.append(found[once])
        places.append(index[once])
    _, left, right = np.intersect1d(hashes[0], hashes[1], assume_unique=True, return_indices=True)
    pairs = zip(places[0][left].tolist(), places[1][right].tolist(), strict=True)
    return sorted(pairs)


def _longest_ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The most pairs, of those sorted by the first place, whose second places ascend too."""
    tails: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    for number, (_, second) in enumerate(pairs):
        length = bisect_left(tails, second)
        previous.append(last[length - 1] if length else -1)
        tails[length : length + 1] = [second]
        last[length : length + 1] = [number]
    chain = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(pairs[number])
        number = previous[number]
    return chain[::-1]
