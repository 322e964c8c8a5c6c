# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Forced alignment of a text to the frames of a recording with CTC probabilities: the best path.

Shapes: N encoder frames, V vocabulary, L tokens of the text, S = 2 L + 1 states (a blank before, between and after
the tokens), W states of a band, B texts.
"""

from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

WILDCARD = -1
"""A label that matches any speech, for parts that the text omits."""

WILDCARD_COST = 0.01
"""Additional cost per frame of a wildcard, so that the text is preferred if it fits equally well."""

BLANK_FRAME = -1
"""Value in the path of a frame that belongs to no token."""

# Frames times states up to which all paths are searched: about four minutes of speech.
_FULL_SEARCH = 50_000_000
# States searched in each frame of a longer recording, about a minute of speech, and their growth when the path comes
# closer to the edge than this share of the width.
_BAND_STATES, _BAND_GROWTH, _EDGE = 2048, 4, 1 / 8
# Maximum number of float64 in the sums over paths of several texts.
_LIKELIHOOD_VALUES = 2**25


class CTCAlignment(NamedTuple):
    """The best path of a text through the frames of a recording.

    Args:
        starts: `(L,)` int64 first frame of each token.
        ends: `(L,)` int64 frame after the last one of each token.
        scores: `(L,)` float64 mean log probability of each token over its frames.
        path: `(N,)` int64 token of each frame, `BLANK_FRAME` if there is none.
        log_prob: log probability of the path. With wildcards, which use the best label of each frame, it is only a
            score, comparable between texts for one recording.
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    path: np.ndarray
    log_prob: float


def shortest_length(labels: Any) -> int:
    """Minimum number of frames of a text: one per token, and a blank between equal neighbours (not wildcards)."""
    return int(len(labels) + _needs_blank(np.asarray(labels, dtype=np.int64)).sum())


def _needs_blank(labels: np.ndarray) -> np.ndarray:
    """For each token except the first, `(L - 1,)` bool: whether a blank must separate it from the previous one."""
    return (labels[1:] == labels[:-1]) & (labels[1:] != WILDCARD)


def align_ctc(
    log_probs: np.ndarray | Tensor, labels: Any, blank: int = 0, best: np.ndarray | None = None
) -> CTCAlignment:
    """The most probable path among all that emit `labels` (Viterbi), with scores in float64.

    Every frame is one vector operation over the states. Scores are stored at the edges of about sqrt(N) segments of
    frames, and the moves (int8) within a segment are recomputed during backtracking.

    Args:
        log_probs: `(N, V)` log probabilities; array or tensor of any float type.
        labels: `(L,)` ids of the tokens, none of them the blank; `WILDCARD` matches any speech of at least one frame.
        blank: id of the blank.
        best: `(N,)` log probability of the best label of each frame, required if `log_probs` holds only the columns of
            the text. That of a wildcard is lower by `WILDCARD_COST`.

    Raises:
        ValueError: no labels, an invalid label, NaN values, or fewer frames than the text requires.

    Choice: among equally good paths, the one that stays longest in a state.
    Choice: if N times S is large, only a band of states around the place that `estimate_places` expects is searched,
    and a wider one if the path found comes close to its edge, up to all states. Time is then linear in the length of
    the recording; the path is the best one of all unless that leaves the band.
    """
    values = _as_array(log_probs)
    labels = np.asarray(labels, dtype=np.int64)
    _check(values, labels, blank)
    best = values.max(axis=1) if best is None else np.asarray(best)
    states = np.full(2 * len(labels) + 1, blank, dtype=np.int64)
    states[1::2] = np.where(labels == WILDCARD, values.shape[1], labels)
    # Two different tokens may follow each other without a blank.
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = ~_needs_blank(labels)
    indices = estimate_places(values, labels, blank, best) if len(values) * len(states) > _FULL_SEARCH else None
    if (labels == WILDCARD).any():
        # The wildcard is an additional column.
        values = np.concatenate([values, (best.astype(np.float64) - WILDCARD_COST)[:, None]], axis=1)
    final, path = _search(values, states, may_skip, indices)
    tokens = np.where(path % 2 == 1, path // 2, BLANK_FRAME)
    odd = 2 * np.arange(len(labels)) + 1
    starts, ends = np.searchsorted(path, odd), np.searchsorted(path, odd, side="right")
    on_path = values[np.arange(len(path)), states[path]].astype(np.float64)
    running = np.concatenate([[0.0], np.cumsum(on_path)])
    return CTCAlignment(starts, ends, (running[ends] - running[starts]) / (ends - starts), tokens, final)


def _as_array(log_probs: np.ndarray | Tensor) -> np.ndarray:
    """Values in float32 or float64; others become float64."""
    if isinstance(log_probs, Tensor):
        log_probs = log_probs.detach().cpu()
        log_probs = (log_probs if log_probs.dtype == torch.float32 else log_probs.double()).numpy()
    return log_probs if log_probs.dtype == np.float32 else np.asarray(log_probs, dtype=np.float64)


def _check(values: np.ndarray, labels: np.ndarray, blank: int) -> None:
    if values.ndim != 2 or labels.ndim != 1:
        raise ValueError(
            f"Expected log probabilities (frames, vocabulary) and labels (tokens,), got {values.shape} and "
            f"{labels.shape}."
        )
    if not len(labels):
        raise ValueError("The text has no tokens to align.")
    if np.isnan(values).any():
        raise ValueError("The log probabilities contain NaN.")
    wrong = labels[(labels != WILDCARD) & ((labels < 0) | (labels >= values.shape[1]) | (labels == blank))]
    if len(wrong):
        raise ValueError(
            f"Label {wrong[0]} is invalid: expected 0 to {values.shape[1] - 1}, except the blank {blank}."
        )
    needed = shortest_length(labels)
    if len(values) < needed:
        raise ValueError(
            f"The text is too long for the recording: its {len(labels)} tokens require at least {needed} frames, but "
            f"the recording has {len(values)}."
        )


def _search(
    values: np.ndarray, states: np.ndarray, may_skip: np.ndarray, places: np.ndarray | None
) -> tuple[float, np.ndarray]:
    """Log probability of the best path, and its state in every frame `(N,)` int64.

    Args:
        values: `(N, V)` log probabilities.
        states: `(S,)` the column of each state.
        may_skip: `(S,)` whether the state may follow the one two before it.
        places: `(N,)` expected tokens, to search a band around them; None to search all states.
    """
    width = _BAND_STATES if places is not None else len(states)
    while width < len(states):
        assert places is not None
        lows = np.clip((2 * places).astype(np.int64) - width // 2, 0, len(states) - width)
        # A path starts in the first two states and ends in the last two.
        lows[0], lows[-1] = 0, len(states) - width
        final, path = _best_path(values, states, may_skip, lows, width)
        if np.isfinite(final) and not _is_near_edge(path - lows, lows, width, len(states)):
            return final, path
        width *= _BAND_GROWTH
    return _best_path(values, states, may_skip, np.zeros(len(values), dtype=np.int64), len(states))


def _is_near_edge(offsets: np.ndarray, lows: np.ndarray, width: int, num_states: int) -> bool:
    """Whether a path with the `offsets` `(N,)` in its band comes close to an edge with states beyond it."""
    margin = int(width * _EDGE)
    below = (offsets < margin) & (lows > 0)
    above = (offsets >= width - margin) & (lows + width < num_states)
    return bool((below | above).any())


def _best_path(
    values: np.ndarray, states: np.ndarray, may_skip: np.ndarray, lows: np.ndarray, width: int
) -> tuple[float, np.ndarray]:
    """The best path through a band of `width` states, which begins at the states `lows` `(N,)`, ascending."""
    num_frames = len(values)
    stretch = max(1, round((8 * num_frames) ** 0.5))
    scores = np.full(width, -np.inf)
    scores[:2] = values[0, states[:2]]
    bands = [slice(low, low + width) for low in lows.tolist()]
    shifts = np.diff(lows, prepend=0).tolist()

    def advance(scores: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        band = bands[frame]
        return _advance(scores, shifts[frame], values[frame, states[band]], may_skip[band])

    edges = []
    for frame in range(1, num_frames):
        if (frame - 1) % stretch == 0:
            edges.append(scores)
        scores = advance(scores, frame)[0]
    # The path ends in the last token or in the blank after it.
    offset = width - 1 if scores[-1] >= scores[-2] else width - 2
    final = float(scores[offset])
    path = np.zeros(num_frames, dtype=np.int64)
    if width < len(states) and not np.isfinite(final):  # no path through this band
        return final, path
    state = int(lows[-1]) + offset
    path[-1] = state
    for number in reversed(range(len(edges))):
        first = 1 + number * stretch
        scores, moves = edges.pop(), []
        for frame in range(first, min(first + stretch, num_frames)):
            scores, move = advance(scores, frame)
            moves.append(move)
        for frame in reversed(range(first, first + len(moves))):
            state -= int(moves[frame - first][state - bands[frame].start])
            path[frame - 1] = state
    return final, path


def _advance(
    scores: np.ndarray, shift: int, emissions: np.ndarray, may_skip: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scores `(W,)` after one more frame, and the distance `(W,)` int8 in states to the best predecessor.

    Args:
        scores: `(W,)` of the previous frame.
        shift: how many states further the band begins.
        emissions: `(W,)` log probabilities of the states.
        may_skip: `(W,)` bool.
    """
    width = len(scores)
    # Predecessors by distance: two more states before the band, and those that it has moved on by.
    padded = np.full(width + 2 + shift, -np.inf)
    padded[2 : width + 2] = scores
    best, moves = padded[2 + shift :].copy(), np.zeros(width, dtype=np.int8)
    step = padded[1 + shift : -1]
    better = step > best
    np.copyto(best, step, where=better)
    moves[better] = 1
    skip = padded[shift:-2]
    better = may_skip & (skip > best)
    np.copyto(best, skip, where=better)
    moves[better] = 2
    best += emissions
    return best, moves


def ctc_log_likelihoods(log_probs: Tensor, texts: list[list[int]], blank: int = 0) -> Tensor:
    """Log probability, over all paths, of each of several texts for one recording.

    Args:
        log_probs: `(N, V)` log probabilities of the recording's real frames, on any device.
        texts: B texts as ids, without blanks; an empty text gives the probability of silence.
        blank: id of the blank.

    Returns:
        `(B,)` float64 on the CPU; -inf for a text that requires more frames than the recording has.
    """
    values = log_probs.detach().double().cpu()
    # In groups, so that the sums over the paths of long recordings fit into memory.
    longest = max(map(len, texts), default=0)
    size = max(1, _LIKELIHOOD_VALUES // (len(values) * max(2 * longest + 1, values.shape[1])))
    results = [_group_likelihoods(values, texts[start : start + size], blank) for start in range(0, len(texts), size)]
    return torch.cat(results) if results else torch.zeros(0, dtype=torch.float64)


def _group_likelihoods(values: Tensor, texts: list[list[int]], blank: int) -> Tensor:
    lengths = torch.tensor([len(text) for text in texts])
    labels = torch.zeros(len(texts), max(1, int(lengths.max())), dtype=torch.int64)
    for row, text in enumerate(texts):
        labels[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    frames = torch.full((len(texts),), len(values))
    # (N, V) -> (N, B, V), without copies
    shared = values[:, None].expand(-1, len(texts), -1)
    return -nn.functional.ctc_loss(shared, labels, frames, lengths, blank=blank, reduction="none")


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
    recognized = np.array([0.0, *(first + middle for first, _ in anchors), max(len(spoken), 1)])
    written = np.array([0.0, *(second + middle for _, second in anchors), len(labels)])
    return np.interp(np.cumsum(begins), recognized, written)


def _shared_once(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Places of sequences of `k` tokens that both `(G,)` and `(L,)` have once, by place in the first one."""
    hashes, indices = [], []
    for tokens in (first, second):
        if len(tokens) < _ANCHOR_TOKENS:
            return []
        windows = np.lib.stride_tricks.sliding_window_view(tokens, _ANCHOR_TOKENS)
        powers = np.array([pow(0x9E3779B97F4A7C15, power, 2**64) for power in range(_ANCHOR_TOKENS)], dtype=np.uint64)
        # Overflow is meant: a polynomial modulo 2 ** 64.
        hashed = (windows.astype(np.uint64) * powers).sum(axis=1, dtype=np.uint64)
        results, index, counts = np.unique(hashed, return_index=True, return_counts=True)
        once = (counts == 1) & (windows[index] >= 0).all(axis=1)
        hashes.append(results[once])
        indices.append(index[once])
    _, left, right = np.intersect1d(hashes[0], hashes[1], assume_unique=True, return_indices=True)
    pairs = zip(indices[0][left].tolist(), indices[1][right].tolist(), strict=True)
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
