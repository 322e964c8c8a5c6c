# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Forced alignment of a text to the frames of a recording with CTC probabilities: the exact best path.

Shapes: N encoder frames, V vocabulary, L tokens of the text, S = 2 L + 1 states (a blank before, between and after
the tokens), B texts.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

WILDCARD = -1
"""A label that matches any speech, for parts that the text omits."""

WILDCARD_COST = 0.01
"""Additional cost per frame of a wildcard, so that the text is preferred if it fits equally well."""

BLANK_FRAME = -1
"""Value in the path of a frame that belongs to no token."""


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


def shortest_length(labels) -> int:
    """Minimum number of frames of a text: one per token, and a blank between equal neighbours (not wildcards)."""
    return int(len(labels) + _needs_blank(np.asarray(labels, dtype=np.int64)).sum())


def _needs_blank(labels: np.ndarray) -> np.ndarray:
    """For each token except the first, `(L - 1,)` bool: whether a blank must separate it from the previous one."""
    return (labels[1:] == labels[:-1]) & (labels[1:] != WILDCARD)


def align_ctc(log_probs: np.ndarray | Tensor, labels, blank: int = 0, best: np.ndarray | None = None) -> CTCAlignment:
    """The most probable path among all that emit `labels` (Viterbi), in float64.

    Every frame is one vector operation over the states. Scores are stored at the edges of about sqrt(N) segments of
    frames, and the moves (int8) within a segment are recomputed during backtracking: memory grows with S sqrt(N), so
    that an hour of speech fits.

    Args:
        log_probs: `(N, V)` log probabilities; array or tensor of any float type.
        labels: `(L,)` ids of the tokens, none of them the blank; `WILDCARD` matches any speech of at least one frame.
        blank: id of the blank.
        best: `(N,)` log probability of the best label of each frame, required if `log_probs` holds only the columns of
            the text. That of a wildcard is lower by `WILDCARD_COST`.

    Raises:
        ValueError: no labels, an invalid label, NaN values, or fewer frames than the text requires.

    Choice: among equally good paths, the one that stays longest in a state.
    """
    values = log_probs.detach().double().cpu().numpy() if isinstance(log_probs, Tensor) else log_probs
    values = np.asarray(values, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    _check(values, labels, blank)
    best = values.max(axis=1) if best is None else np.asarray(best, dtype=np.float64)
    # The wildcard is an additional column.
    values = np.concatenate([values, best[:, None] - WILDCARD_COST], axis=1)
    states = np.full(2 * len(labels) + 1, blank, dtype=np.int64)
    states[1::2] = np.where(labels == WILDCARD, values.shape[1] - 1, labels)
    # Two different tokens may follow each other without a blank.
    may_skip = np.zeros(len(states), dtype=bool)
    may_skip[3::2] = ~_needs_blank(labels)
    final, path = _best_path(values, states, may_skip)
    tokens = np.where(path % 2 == 1, path // 2, BLANK_FRAME)
    places = np.arange(len(labels))
    starts, ends = np.searchsorted(path, 2 * places + 1), np.searchsorted(path, 2 * places + 1, side="right")
    running = np.concatenate([[0.0], np.cumsum(values[np.arange(len(path)), states[path]])])
    return CTCAlignment(starts, ends, (running[ends] - running[starts]) / (ends - starts), tokens, final)


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


def _best_path(values: np.ndarray, states: np.ndarray, may_skip: np.ndarray) -> tuple[float, np.ndarray]:
    """Log probability of the best path, and its state in every frame `(N,)` int64."""
    num_frames, num_states = len(values), len(states)
    stretch = max(1, round((8 * num_frames) ** 0.5))
    scores = np.full(num_states, -np.inf)
    scores[:2] = values[0, states[:2]]
    edges = []
    for frame in range(1, num_frames):
        if (frame - 1) % stretch == 0:
            edges.append(scores.copy())
        scores = _advance(scores, values[frame, states], may_skip)[0]
    # The path ends in the last token or in the blank after it.
    state = num_states - 1 if scores[-1] >= scores[-2] else num_states - 2
    final = float(scores[state])
    path = np.empty(num_frames, dtype=np.int64)
    path[-1] = state
    for number in reversed(range(len(edges))):
        first = 1 + number * stretch
        scores, moves = edges.pop(), []
        for frame in range(first, min(first + stretch, num_frames)):
            scores, move = _advance(scores, values[frame, states], may_skip)
            moves.append(move)
        for frame in reversed(range(first, first + len(moves))):
            state -= int(moves[frame - first][state])
            path[frame - 1] = state
    return final, path


def _advance(scores: np.ndarray, emissions: np.ndarray, may_skip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores `(S,)` after one more frame, and the distance `(S,)` int8 in states to the best predecessor."""
    best, moves = scores.copy(), np.zeros(len(scores), dtype=np.int8)
    step = scores[:-1] > best[1:]
    best[1:][step] = scores[:-1][step]
    moves[1:][step] = 1
    skip = may_skip[2:] & (scores[:-2] > best[2:])
    best[2:][skip] = scores[:-2][skip]
    moves[2:][skip] = 2
    return best + emissions, moves


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
    lengths = torch.tensor([len(text) for text in texts])
    labels = torch.zeros(len(texts), max(1, int(lengths.max())), dtype=torch.int64)
    for row, text in enumerate(texts):
        labels[row, : len(text)] = torch.tensor(text, dtype=torch.int64)
    frames = torch.full((len(texts),), len(values))
    # (N, V) -> (N, B, V), without copies
    shared = values[:, None].expand(-1, len(texts), -1)
    return -nn.functional.ctc_loss(shared, labels, frames, lengths, blank=blank, reduction="none")
