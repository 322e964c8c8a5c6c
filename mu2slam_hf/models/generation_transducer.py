# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Decoding of a transducer: greedy search, and beam search with at most one token a frame.

Shapes: B batch, N encoder frames, D width of the encoder, V vocabulary, W tokens that may be written, K beams,
F frames that greedy search reads at once.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .modules_layers import at_least_float32, linear
from .modules_transducer import TransducerHead
from .modules_transducer_networks import State

FRAMES_AT_ONCE = 4
"""F: until the next token the vector of the tokens is the same, so the joint network reads several frames at once."""


@dataclass(frozen=True, kw_only=True)
class TransducerHypothesis:
    """What a search has written for one utterance.

    Attributes:
        tokens: the token ids.
        frames: the encoder frame of each token, ascending.
        score: log probability: for greedy search of the path; for beams of all paths to the tokens that they have
            followed, without the blanks between a token and the next frame.
    """

    tokens: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    score: float = 0.0


@torch.no_grad()
def search_greedily(
    head: TransducerHead,
    states: Tensor,
    num_frames: Tensor,
    *,
    excluded: Tensor | None = None,
    max_symbols_per_frame: int | None = None,
) -> list[TransducerHypothesis]:
    """The most probable token at every node: at blank, the next frame begins.

    Args:
        head: prediction and joint network.
        states: `(B, N, D)` of the encoder.
        num_frames: `(B,)` int64 number of real frames.
        excluded: `(B, V)` bool, True on tokens that are not written; None means that there are none.
        max_symbols_per_frame: number of tokens after which the next frame begins; by default that of the head.

    Returns:
        a hypothesis for each utterance.
    """
    limit = max_symbols_per_frame or head.max_symbols_per_frame
    joint, tokens = head.joint, head.tokens
    table = joint.select(tokens)
    mask = None if excluded is None else excluded[:, tokens][:, None]
    # (B, N + F, J), so that every block of F frames is inside.
    frames = functional.pad(linear(joint.encoder_proj, states), (0, 0, 0, FRAMES_AT_ONCE))
    rows, steps = torch.arange(len(states), device=states.device), torch.arange(FRAMES_AT_ONCE, device=states.device)
    start, written_here = torch.zeros_like(num_frames), torch.zeros_like(num_frames)
    scores = torch.zeros(len(states), dtype=_score_dtype(states), device=states.device)
    vectors, state = _read_start(head, len(states))
    written: list[tuple[Tensor, Tensor, Tensor]] = []
    while bool((start < num_frames).any()):
        times = start[:, None] + steps
        block = frames[rows[:, None], times.clamp(max=frames.shape[1] - 1)]
        log_probs = _log_probs(joint(block, vectors[:, None], *table), mask)
        values, places = log_probs.max(dim=-1)
        # At a frame that has all of its tokens, blank follows.
        is_full = (steps == 0) & (written_here >= limit)[:, None]
        places, values = torch.where(is_full, 0, places), torch.where(is_full, log_probs[..., 0], values)
        is_token = (places > 0) & (times < num_frames[:, None])
        # The frames before the first token, and that token itself.
        num_blanks = torch.where(is_token.any(1), is_token.long().argmax(1), FRAMES_AT_ONCE)
        is_read = (steps <= num_blanks[:, None]) & (times < num_frames[:, None])
        scores += torch.where(is_read, values, 0.0).sum(1)
        emits, where = is_token.any(1), start + num_blanks
        written_here = torch.where(emits, torch.where(num_blanks == 0, written_here, 0) + 1, 0)
        start = torch.minimum(where, num_frames)
        if bool(emits.any()):
            chosen = tokens[places.gather(1, num_blanks.clamp(max=FRAMES_AT_ONCE - 1)[:, None])[:, 0]]
            written.append((emits, chosen, where))
            after, following = head.prediction.advance(chosen[:, None], state)
            after = linear(joint.prediction_proj, after[:, 0])
            vectors = torch.where(emits[:, None], after, vectors)
            state = tuple(
                torch.where(emits.view(-1, *[1] * (new.dim() - 1)), new, old)
                for new, old in zip(following, state, strict=True)
            )
    return _collect(written, scores)


def _collect(written: list[tuple[Tensor, Tensor, Tensor]], scores: Tensor) -> list[TransducerHypothesis]:
    """Hypotheses from the tokens `(B,)` of every step: whether there is one, its id, its frame."""
    totals = scores.tolist()
    if not written:
        return [TransducerHypothesis(score=total) for total in totals]
    emits, tokens, frames = (torch.stack(parts, dim=1).cpu() for parts in zip(*written, strict=True))
    return [
        TransducerHypothesis(tokens=tuple(ids[kept].tolist()), frames=tuple(times[kept].tolist()), score=total)
        for kept, ids, times, total in zip(emits, tokens, frames, totals, strict=True)
    ]


@torch.no_grad()
def search_beams(
    head: TransducerHead, states: Tensor, num_frames: Tensor, *, num_beams: int, excluded: Tensor | None = None
) -> list[TransducerHypothesis]:
    """Beam search, frame by frame.

    Choice: at most one token a frame, as in icefall, so that all hypotheses have read the same frames. Paths that have
    written the same tokens are one hypothesis, whose probability is their sum.

    Args:
        head: prediction and joint network.
        states: `(B, N, D)` of the encoder.
        num_frames: `(B,)` int64 number of real frames.
        num_beams: number K of hypotheses kept after each frame.
        excluded: `(B, V)` bool, True on tokens that are not written; None means that there are none.

    Returns:
        the most probable hypothesis of each utterance.

    Raises:
        ValueError: `num_beams` below 1.
    """
    if num_beams < 1:
        raise ValueError(f"num_beams must be at least 1, got {num_beams}.")
    tokens, frames = head.tokens, linear(head.joint.encoder_proj, states)
    table = head.joint.select(tokens)
    beams = [[TransducerHypothesis()] for _ in range(len(states))]
    vectors, state = _read_start(head, len(states))
    lengths = num_frames.tolist()
    # The row of vectors and state of each hypothesis.
    places = [[row] for row in range(len(states))]
    for frame in range(states.shape[1]):
        active = [row for row, length in enumerate(lengths) if frame < length]
        if not active:
            break
        owners = [row for row in active for _ in beams[row]]
        sources = torch.tensor([place for row in active for place in places[row]], device=states.device)
        mask = None if excluded is None else excluded[owners][:, tokens]
        log_probs = _log_probs(head.joint(frames[owners, frame], vectors[sources], *table), mask)
        log_probs = log_probs.to(_score_dtype(states))
        offset, appended = 0, []
        for row in active:
            size = len(beams[row])
            scores = log_probs.new_tensor([hypothesis.score for hypothesis in beams[row]])
            totals = scores[:, None] + log_probs[offset : offset + size]
            offset += size
            kept = _merge_best(beams[row], totals, tokens, frame, num_beams)
            beams[row] = [hypothesis for hypothesis, _, _ in kept]
            places[row] = [places[row][parent] for _, parent, _ in kept]
            appended += [(row, beam, token) for beam, (_, _, token) in enumerate(kept) if token is not None]
        if appended:
            parents = torch.tensor([places[row][beam] for row, beam, _ in appended], device=states.device)
            chosen = torch.tensor([[token] for _, _, token in appended], device=states.device)
            after, following = head.prediction.advance(chosen, tuple(part[parents] for part in state))
            after = linear(head.joint.prediction_proj, after[:, 0])
            for number, (row, beam, _) in enumerate(appended):
                places[row][beam] = len(vectors) + number
            vectors, state = _keep_used(vectors, state, after, following, places)
    return [max(row, key=lambda hypothesis: hypothesis.score) for row in beams]


def _merge_best(
    beams: list[TransducerHypothesis], totals: Tensor, tokens: Tensor, frame: int, num_beams: int
) -> list[tuple[TransducerHypothesis, int, int | None]]:
    """The best continuations of the hypotheses of an utterance, with their parents and what was appended to these.

    Args:
        beams: hypotheses before the frame.
        totals: `(K, W)` log probabilities of their continuations.
        tokens: `(W,)` ids; the first one is blank.
        frame: number of the frame.
        num_beams: number of continuations to keep.
    """
    # Two of them may be one text, by blank and by a token.
    values, indices = totals.flatten().topk(min(2 * num_beams, totals.numel()))
    parents = torch.div(indices, totals.shape[1], rounding_mode="floor").tolist()
    columns = (indices % totals.shape[1]).tolist()
    merged: dict[tuple[int, ...], tuple[TransducerHypothesis, int, int | None]] = {}
    ids = tokens[indices % totals.shape[1]].tolist()
    for score, parent, column, token in zip(values.tolist(), parents, columns, ids, strict=True):
        before = beams[parent]
        text = before.tokens if column == 0 else (*before.tokens, token)
        if text in merged:  # the path found first is the more probable one
            first, source, appended = merged[text]
            total = first.score + math.log1p(math.exp(score - first.score))
            merged[text] = TransducerHypothesis(tokens=text, frames=first.frames, score=total), source, appended
            continue
        frames = before.frames if column == 0 else (*before.frames, frame)
        hypothesis = TransducerHypothesis(tokens=text, frames=frames, score=score)
        merged[text] = hypothesis, parent, None if column == 0 else token
    return sorted(merged.values(), key=lambda item: -item[0].score)[:num_beams]


def _keep_used(
    vectors: Tensor, state: State, after: Tensor, following: State, places: list[list[int]]
) -> tuple[Tensor, State]:
    """Old and new vectors and states that hypotheses still use; `places` are renumbered in place."""
    used = sorted({place for row in places for place in row})
    numbers = {place: number for number, place in enumerate(used)}
    for row in places:
        row[:] = [numbers[place] for place in row]
    rows = torch.tensor(used, device=vectors.device)
    parts = tuple(torch.cat([old, new])[rows] for old, new in zip(state, following, strict=True))
    return torch.cat([vectors, after])[rows], parts


def _read_start(head: TransducerHead, batch_size: int) -> tuple[Tensor, State]:
    """Projected vectors `(B, J)` and states before the first token."""
    start = torch.full((batch_size, 1), head.blank, device=head.joint.token_head.weight.device)
    vectors, state = head.prediction.advance(start, head.prediction.initial_state(batch_size))
    return linear(head.joint.prediction_proj, vectors[:, 0]), state


def _score_dtype(states: Tensor) -> torch.dtype:
    """Type of the scores of hypotheses; MPS has no float64."""
    return torch.float32 if states.device.type == "mps" else torch.float64


def _log_probs(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Log probabilities of logits `(..., W)`, as if the tokens where `mask` is True did not exist."""
    logits = at_least_float32(logits)
    return (logits if mask is None else logits.masked_fill(mask, -float("inf"))).log_softmax(dim=-1)
