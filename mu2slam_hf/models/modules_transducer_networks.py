# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The networks of a transducer, and the log probabilities that they give at every node of a lattice.

Shapes: B batch, N encoder frames, L labels, H width of the prediction network, J of the joint network, V vocabulary,
W tokens that may be written, K tokens read at once, C context, n nodes.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.activations import ACT2FN

from .configuration_transducer import TransducerConfig
from .modules_base import ScaledEmbedding
from .modules_layers import apply_dropout, at_least_float32
from .modules_losses import MAX_LOGITS_KEPT

MAX_CACHED_LOGITS = 2**20
"""Number of logits that the joint network computes at once on a CPU (4 MiB as float32)."""
State = tuple[Tensor, ...]
"""State of a prediction network after some tokens; the first axis of each part is the batch."""


class PredictionNetwork(nn.Module):
    """A vector for every sequence of tokens: an LSTM over all of them, or a convolution over the last few.

    Args:
        config: sizes.
        vocab_size: number of rows of the embedding table.
        start: id that stands before the first token, that of blank.
    """

    def __init__(self, config: TransducerConfig, vocab_size: int, start: int):
        super().__init__()
        width = config.hidden_size
        self.start, self.dropout = start, config.dropout
        self.is_stateless = config.predictor_type == "stateless"
        self.num_layers, self.context_size = config.num_layers, config.context_size
        self.embed_tokens = ScaledEmbedding(vocab_size, width, scale=width**0.5)
        if self.is_stateless:
            self.conv = nn.Conv1d(width, width, config.context_size)
        else:
            self.lstm = nn.LSTM(width, width, config.num_layers, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors `(B, L + 1, H)` after none, one, two, ... of the tokens `(B, L)` int64."""
        states = self.initial_state(len(tokens))
        return self.advance(functional.pad(tokens, (1, 0), value=self.start), states)[0]

    def initial_state(self, batch_size: int) -> State:
        """State before the start token."""
        table = self.embed_tokens.weight
        if self.is_stateless:
            return (torch.full((batch_size, self.context_size - 1), self.start, device=table.device),)
        zeros = table.new_zeros(batch_size, self.num_layers, table.shape[1])
        return zeros, zeros

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Read more tokens.

        Args:
            tokens: `(B, K)` int64.
            state: as returned by [`initial_state`] or this method.

        Returns:
            `(B, K, H)` vectors after every token, and the state after the last one.
        """
        if self.is_stateless:
            tokens = torch.cat([state[0], tokens], dim=1)
            embeds = apply_dropout(self.embed_tokens(tokens), self.dropout, self.training)
            # (B, K + C - 1, H) -> (B, H, K) -> (B, K, H)
            outputs = functional.relu(self.conv(embeds.transpose(1, 2)).transpose(1, 2))
            state = (tokens[:, tokens.shape[1] - self.context_size + 1 :],)
        else:
            embeds = apply_dropout(self.embed_tokens(tokens), self.dropout, self.training)
            # (B, layers, H) -> (layers, B, H)
            before = tuple(part.transpose(0, 1).contiguous().to(embeds.dtype) for part in state)
            outputs, after = self.lstm(embeds, before)
            state = tuple(part.transpose(0, 1) for part in after)
        return apply_dropout(outputs, self.dropout, self.training), state


class JointNetwork(nn.Module):
    """Logits of a frame after a sequence of tokens: `token_head(act(encoder_proj(frame) + prediction_proj(vector)))`.

    Args:
        config: sizes and activation.
        input_size: width D of the encoder.
        vocab_size: number of rows of the output layer.
    """

    def __init__(self, config: TransducerConfig, input_size: int, vocab_size: int):
        super().__init__()
        self.encoder_proj = nn.Linear(input_size, config.joint_size)
        self.prediction_proj = nn.Linear(config.hidden_size, config.joint_size, bias=False)
        self.act = ACT2FN[config.hidden_act]
        self.token_head = nn.Linear(config.joint_size, vocab_size)

    def select(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Weight `(W, J)` and bias `(W,)` of the output layer for the ids `tokens` `(W,)`."""
        return self.token_head.weight[tokens], self.token_head.bias[tokens]

    def forward(self, frames: Tensor, vectors: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Logits `(..., W)` from projected frames and vectors `(..., J)` and what [`select`] returns."""
        return functional.linear(self.act(frames + vectors), weight, bias)


class NodeArcs(torch.autograd.Function):
    """Log probabilities `(B, N, L + 1, 2)` of blank and of the token at `places` `(B, L + 1)` among the W.

    Choice: no logits are kept; those of some nodes at a time are computed, and again in the backward pass, which
    leaves out nodes whose posterior is below the precision of float32: they are on no probable path.
    """

    @staticmethod
    def forward(
        ctx: Any,
        frames: Tensor,
        vectors: Tensor,
        weight: Tensor,
        bias: Tensor,
        places: Tensor,
        is_node: Tensor,
        act: nn.Module,
    ) -> Tensor:
        device = weight.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        ctx.act = act
        arcs = torch.zeros(
            *is_node.shape, 2, dtype=torch.promote_types(weight.dtype, torch.float32), device=weight.device
        )
        normalizers = torch.zeros_like(arcs[..., 0])
        with torch.autocast(device, enabled=False):
            for nodes in is_node.nonzero().split(_nodes_at_once(weight)):
                _, _, logits = _compute_logits(ctx, nodes, frames, vectors, weight, bias)
                totals = logits.logsumexp(dim=-1)
                row, frame, count = nodes.unbind(1)
                normalizers[row, frame, count] = totals
                chosen = logits.gather(1, places[row, count][:, None])[:, 0]
                arcs[row, frame, count] = torch.stack([logits[:, 0], chosen], dim=1) - totals[:, None]
        ctx.save_for_backward(frames, vectors, weight, bias, places, normalizers)
        return arcs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        frames, vectors, weight, bias, places, normalizers = ctx.saved_tensors
        sums = [torch.zeros_like(part, dtype=gradients.dtype) for part in (frames, vectors, weight, bias)]
        sizes = gradients.abs().amax(dim=-1)
        # The last blank of an utterance has the posterior 1.
        smallest = torch.finfo(gradients.dtype).eps * sizes.amax()
        for nodes in (sizes > smallest).nonzero().split(_nodes_at_once(weight)):
            row, frame, count = nodes.unbind(1)
            inputs, hidden, logits = _compute_logits(ctx, nodes, frames, vectors, weight, bias)
            # d log p(token) / d logits = (1 at the token, 0 elsewhere) - p
            blank, label = gradients[row, frame, count].unbind(1)
            slopes = logits.sub_(normalizers[row, frame, count][:, None]).exp_().mul_(-(blank + label)[:, None])
            slopes[:, 0] += blank
            slopes.scatter_add_(1, places[row, count][:, None], label[:, None])
            sums[3] += slopes.sum(dim=0)
            slopes = slopes.to(ctx.dtype)
            sums[2] += slopes.T @ hidden.detach()
            (back,) = torch.autograd.grad(hidden, inputs, slopes @ weight.to(ctx.dtype))
            back = back.to(gradients.dtype)
            sums[0].flatten(0, 1).index_add_(0, row * frames.shape[1] + frame, back)
            sums[1].flatten(0, 1).index_add_(0, row * vectors.shape[1] + count, back)
        parts = zip(sums, (frames, vectors, weight, bias), strict=True)
        return (*(total.to(part.dtype) for total, part in parts), None, None, None)


def _nodes_at_once(weight: Tensor) -> int:
    """Number of nodes whose logits are computed together: on a CPU as many as stay in its cache."""
    return max(1, (MAX_CACHED_LOGITS if weight.device.type == "cpu" else MAX_LOGITS_KEPT) // len(weight))


def _compute_logits(
    ctx: Any, nodes: Tensor, frames: Tensor, vectors: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and outputs `(n, J)` of the activation at `nodes` `(n, 3)`, with their graph, and logits `(n, W)`."""
    row, frame, count = nodes.unbind(1)
    inputs = (frames.detach()[row, frame] + vectors.detach()[row, count]).to(ctx.dtype)
    with torch.enable_grad():
        hidden = ctx.act(inputs.requires_grad_())
    logits = functional.linear(hidden.detach(), weight.detach().to(ctx.dtype), bias.detach().to(ctx.dtype))
    return inputs, hidden, at_least_float32(logits)
