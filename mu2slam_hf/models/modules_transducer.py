# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transducer (RNN-T): the lattice of frames and labels, its loss and best path, and the head.

Shapes: B batch, N encoder frames, L labels, D width of the encoder, W tokens that may be written.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .modules_layers import linear
from .modules_losses import IGNORE_INDEX
from .modules_transducer_networks import JointNetwork, NodeArcs, PredictionNetwork


def transducer_log_likelihoods(blank: Tensor, labels: Tensor, num_frames: Tensor, num_labels: Tensor) -> Tensor:
    """Log probability of transcripts under a transducer: the sum over all ways to place their labels in the frames.

    Paper: Graves (2012), section 2.4:
    `alpha(n, l) = alpha(n - 1, l) blank(n - 1, l) + alpha(n, l - 1) label(n, l - 1)` and
    `p = alpha(N - 1, L) blank(N - 1, L)`.
    The recursion over frames is linear, so with P the running sum of `log blank` along the frames
    `log alpha(:, l) = P(:, l) + logcumsumexp(log alpha(:, l - 1) + log label(:, l - 1) - P(:, l))`: one step for each
    label instead of one for each node. Computed in float64 for the precision of the running sums. The gradient of an
    arc is its posterior, from the same recursion on the reversed lattice.

    Args:
        blank: `(B, N, L + 1)` float log probability of blank at every frame after every number of labels.
        labels: `(B, N, L)` float log probability of the next label.
        num_frames: `(B,)` int64, at least 1.
        num_labels: `(B,)` int64; may be 0.

    Returns:
        `(B,)` float64, on the CPU for tensors on MPS, which has no float64. Nothing beyond `num_frames` and
        `num_labels` is read.
    """
    return _LogLikelihoods.apply(blank, labels, num_frames, num_labels)


def find_emission_frames(blank: Tensor, labels: Tensor, num_frames: Tensor, num_labels: Tensor) -> Tensor:
    """The frames of the labels on the most probable path.

    Args:
        blank: as in [`transducer_log_likelihoods`].
        labels: likewise.
        num_frames: likewise.
        num_labels: likewise.

    Returns:
        `(B, L)` int64, ascending in each row; 0 beyond `num_labels`.
    """
    running = _running_blanks(_to_lattice(blank))
    arcs = _to_lattice(labels)
    best, pointers = running[0], []
    for label, total in zip(arcs, running[1:], strict=True):
        values, indices = (best + label - total).cummax(dim=-1)
        best = total + values
        pointers.append(indices)
    frame = (num_frames - 1).to(arcs.device)
    frames = torch.zeros(labels.shape[::2], dtype=torch.int64, device=arcs.device)
    for place in reversed(range(len(pointers))):
        is_label = place < num_labels.to(arcs.device)
        frame = torch.where(is_label, pointers[place].gather(1, frame[:, None])[:, 0], frame)
        frames[:, place] = torch.where(is_label, frame, 0)
    return frames.to(labels.device)


def frames_to_durations(frames: Tensor, num_frames: Tensor, num_labels: Tensor) -> Tensor:
    """Number of frames of every label: from its own frame up to that of the next label.

    Choice: the first label also has the frames before its own, so that the durations of a row sum to its frames.

    Args:
        frames: `(B, L)` int64 from [`find_emission_frames`].
        num_frames: `(B,)` int64.
        num_labels: `(B,)` int64.

    Returns:
        `(B, L)` int64; 0 for labels that share their frame with the next one, and beyond `num_labels`.
    """
    places = torch.arange(frames.shape[1] + 1, device=frames.device)
    bounds = functional.pad(frames, (0, 1))
    bounds = torch.where(places < num_labels[:, None], bounds, num_frames[:, None])
    bounds = torch.where(places == 0, 0, bounds)
    return torch.where(places[:-1] < num_labels[:, None], bounds.diff(dim=1), 0)


class _LogLikelihoods(torch.autograd.Function):
    """Sum over the paths of a lattice; the gradients of its arcs are their posteriors."""

    @staticmethod
    def forward(ctx: Any, blank: Tensor, labels: Tensor, num_frames: Tensor, num_labels: Tensor) -> Tensor:
        blanks, arcs = _to_lattice(blank), _to_lattice(labels)
        frames, lengths = num_frames.to(blanks.device), num_labels.to(blanks.device)
        rows = torch.arange(len(frames), device=blanks.device)
        alphas = _sum_paths(_running_blanks(blanks), arcs)
        totals = alphas[lengths, rows, frames - 1] + blanks[lengths, rows, frames - 1]
        ctx.save_for_backward(blanks, arcs, alphas, totals, frames, lengths)
        ctx.place = (blank.device, blank.dtype, labels.dtype)
        return totals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        blanks, arcs, alphas, totals, frames, lengths = ctx.saved_tensors
        device, blank_dtype, label_dtype = ctx.place
        betas = _sum_paths_to_end(blanks, arcs, frames, lengths)
        counts = torch.arange(len(blanks), device=blanks.device)[:, None, None]
        times = torch.arange(blanks.shape[2], device=blanks.device)
        is_frame, is_last = times < frames[:, None], times == frames[:, None] - 1
        ends = torch.where(counts == lengths[:, None], 0.0, float("-inf"))
        after_blank = torch.where(is_last, ends, functional.pad(betas[..., 1:], (0, 1)))
        scale = gradients.to(totals.device)[:, None]
        # Padding may hold anything: it is replaced, not multiplied by 0.
        posteriors = (alphas + blanks + after_blank - totals[:, None]).exp() * scale
        of_blanks = torch.where(is_frame & (counts <= lengths[:, None]), posteriors, 0.0)
        posteriors = (alphas[:-1] + arcs + betas[1:] - totals[:, None]).exp() * scale
        of_labels = torch.where(is_frame & (counts[:-1] < lengths[:, None]), posteriors, 0.0)
        return (
            of_blanks.permute(1, 2, 0).to(blank_dtype).to(device),
            of_labels.permute(1, 2, 0).to(label_dtype).to(device),
            None,
            None,
        )


def _to_lattice(values: Tensor) -> Tensor:
    """`(B, N, L)` as float64 `(L, B, N)`, in which the frames of a label are adjacent; on the CPU instead of MPS."""
    values = values.detach()
    if values.device.type == "mps":
        values = values.cpu()
    return values.double().permute(2, 0, 1).contiguous()


def _running_blanks(blanks: Tensor) -> Tensor:
    """Sums of `(L, B, N)` over all earlier frames."""
    return functional.pad(blanks[..., :-1].cumsum(dim=-1), (1, 0))


def _sum_paths(running: Tensor, arcs: Tensor) -> Tensor:
    """Log probability `(L + 1, B, N)` of reaching every node from the first one, by `arcs` `(L, B, N)` of labels."""
    alphas = torch.empty_like(running)
    alphas[0] = running[0]
    for place, label in enumerate(arcs):
        total = running[place + 1]
        torch.add(total, torch.logcumsumexp(alphas[place] + label - total, dim=-1), out=alphas[place + 1])
    return alphas


def _sum_paths_to_end(blanks: Tensor, arcs: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
    """Log probability `(L + 1, B, N)` of the rest of the path from every node: paths of the reversed lattice."""
    times = torch.arange(blanks.shape[2], device=blanks.device)
    counts = torch.arange(len(blanks), device=blanks.device)
    rows = torch.arange(len(frames), device=blanks.device)[:, None]
    last = blanks[lengths, rows[:, 0], frames - 1]
    backwards = frames[:, None] - 1 - times
    places = (lengths - counts[:, None])[..., None]
    # An arc of blank enters its node from the frame before it, in the reversed lattice from the frame after it.
    running = _running_blanks(blanks[places.clamp(min=0), rows, (backwards - 1).clamp(min=0)])
    reversed_arcs = arcs[(places[1:]).clamp(min=0), rows, backwards.clamp(min=0)] if len(arcs) else arcs
    betas = _sum_paths(running, reversed_arcs)
    return betas[places.clamp(min=0), rows, backwards.clamp(min=0)] + last[:, None]


def find_writable(labels: Tensor, frame_lengths: Tensor, max_symbols_per_frame: int) -> Tensor:
    """Rows with labels that decoding could write: at most `max_symbols_per_frame` for each frame.

    Args:
        labels: `(B, L)` int64, -100 on padding.
        frame_lengths: `(B,)` int64 number of encoder frames.
        max_symbols_per_frame: of the configuration.

    Returns:
        `(B,)` bool, False also for rows without labels.
    """
    lengths = (labels != IGNORE_INDEX).sum(-1)
    return (lengths > 0) & (lengths <= max_symbols_per_frame * frame_lengths)


class TransducerHead(nn.Module):
    """Prediction network and joint network over the states of an encoder.

    Choice: the tables have a row for every token, so that they are resized like all others, but only blank (the
    padding token), the unknown token and text are computed and may be written.

    Args:
        config: configuration of a model with `transducer_config` and the id space of [`Mu2SLAMConfig`].
        input_size: width D of the states of the encoder.
    """

    def __init__(self, config: Any, input_size: int):
        super().__init__()
        sizes = config.transducer_config
        self.blank, self.unk, self.first_text = config.pad_token_id, config.unk_token_id, config.text_token_offset
        self.max_symbols_per_frame = sizes.max_symbols_per_frame
        self.prediction = PredictionNetwork(sizes, config.vocab_size, self.blank)
        self.joint = JointNetwork(sizes, input_size, config.vocab_size)

    @property
    def tokens(self) -> Tensor:
        """Ids `(W,)` int64 of the tokens that may be written: blank, the unknown token, text."""
        weight = self.joint.token_head.weight
        text = torch.arange(self.first_text, weight.shape[0], device=weight.device)
        return torch.cat([text.new_tensor([self.blank, self.unk]), text])

    def find_places(self, labels: Tensor) -> Tensor:
        """Places of labels among [`tokens`]; -100 becomes blank.

        Args:
            labels: int64 ids.

        Raises:
            ValueError: an id cannot be written.
        """
        is_text = (labels >= self.first_text) & (labels < self.joint.token_head.weight.shape[0])
        is_wrong = ~(is_text | (labels == self.unk) | (labels == IGNORE_INDEX))
        if bool(is_wrong.any()):
            raise ValueError(
                f"labels contains {int(labels[is_wrong][0])}; a transducer writes the unknown token ({self.unk}) and "
                f"text ({self.first_text} to {self.joint.token_head.weight.shape[0] - 1}), and -100 marks padding."
            )
        return torch.where(is_text, labels - self.first_text + 2, (labels == self.unk).long())

    def compute_arcs(
        self, states: Tensor, num_frames: Tensor, labels: Tensor, num_labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log probabilities of blank and of the next label at every node of the lattices.

        Args:
            states: `(B, N, D)` of the encoder.
            num_frames: `(B,)` int64, at least 1.
            labels: `(B, L)` int64, -100 on padding.
            num_labels: `(B,)` int64.

        Returns:
            `(B, N, L + 1)` and `(B, N, L)`, at least float32, 0 on padding.

        Raises:
            ValueError: a label cannot be written.
        """
        places = functional.pad(self.find_places(labels), (0, 1))
        vectors = linear(self.joint.prediction_proj, self.prediction(labels.masked_fill(labels < 0, self.blank)))
        frames = linear(self.joint.encoder_proj, states)
        is_frame = torch.arange(states.shape[1], device=states.device) < num_frames[:, None]
        is_count = torch.arange(places.shape[1], device=states.device) <= num_labels[:, None]
        is_node = is_frame[:, :, None] & is_count[:, None]
        weight, bias = self.joint.select(self.tokens)
        arcs = NodeArcs.apply(frames, vectors, weight, bias, places, is_node, self.joint.act)
        return arcs[..., 0], arcs[:, :, :-1, 1]


def transducer_sum(head: TransducerHead, states: Tensor, frame_mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Transducer loss `-log p(labels | states)`, summed over utterances.

    Choice: an utterance with more than `max_symbols_per_frame` labels for each frame, which decoding cannot write,
    and one without labels contribute 0. Unlike for CTC, labels may outnumber frames.

    Args:
        head: prediction and joint network.
        states: `(B, N, D)` of the encoder.
        frame_mask: `(B, N)`, 1 or True on real frames, which come first.
        labels: `(B, L)` int64, -100 on padding; a row of -100 has no target.

    Returns:
        Scalar float32 sum, and int64 count of target tokens, which [`find_writable`] also gives.

    Raises:
        ValueError: a label cannot be written: blank, a speech id, or one outside the vocabulary.
    """
    num_frames = frame_mask.long().sum(-1)
    is_writable = find_writable(labels, num_frames, head.max_symbols_per_frame)
    num_labels = torch.where(is_writable, (labels != IGNORE_INDEX).sum(-1), 0)
    # An utterance that is left out keeps one node, so that every parameter has a gradient.
    lengths = torch.where(is_writable, num_frames, 1)
    # Padding may hold NaN, whose product with a gradient of 0 is NaN.
    states = torch.where(frame_mask.bool()[..., None], states, 0.0)
    blank, label = head.compute_arcs(states, lengths, labels, num_labels)
    losses = -transducer_log_likelihoods(blank, label, lengths, num_labels)
    total = torch.where(is_writable.to(losses.device), losses, 0.0).sum()
    return total.to(blank.dtype).to(blank.device), num_labels.sum()
