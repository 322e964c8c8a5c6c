# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Attention of encoder and decoder, with the attention interface of transformers.

Shapes: B batch, L query positions, S key positions, D width, H heads, E head size.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .modules_layers import apply_dropout, linear
from .modules_positions import add_position_scores, align_distances, apply_rotary, clipped_distances


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[Tensor, Tensor]:
    """Plain attention, the reference for all other backends.

    Args:
        module: the calling module; only its `training` flag is used.
        query: `(B, H, L, E)`.
        key: `(B, H, S, E)`.
        value: `(B, H, S, E)`.
        attention_mask: `(B, 1, L, S)` added to the scores: 0 where attention is allowed, a large negative number
            elsewhere; or None.
        scaling: factor on the scores.
        dropout: dropout probability of the weights, in training.

    Returns:
        `(B, L, H, E)` and the weights `(B, H, L, S)`.
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = apply_dropout(weights, dropout, module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def product_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float
) -> Tensor:
    """Attention by two products of matrices, for inference in low precision on a CPU.

    There, torch's scaled dot product takes twice as long. Scores have the precision of the query.

    Args:
        query: `(B, H, L, E)`.
        key: `(B, H, S, E)`.
        value: `(B, H, S, E)`.
        attention_mask: `(B, 1 or H, 1 or L, S)`: bool, True where attention is allowed; or added to the
            scores; or None.
        scaling: factor on the scores.

    Returns:
        `(B, L, H, E)`, not contiguous.
    """
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores.add_(attention_mask)
    torch.softmax(scores, dim=-1, out=scores)
    return torch.matmul(scores, value).transpose(1, 2)


class _MultiHeadAttention(nn.Module):
    """The four projections and the dispatch to the backend, shared by the attention classes below."""

    def __init__(self, config, layer_idx: int, bias: bool = True):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.num_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.num_key_value_groups = 1
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_dropout
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)

    def split_heads(self, states: Tensor) -> Tensor:
        """Split the heads: (B, L, D) -> (B, H, L, E)."""
        return states.view(*states.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs):
        if self._prefers_products(query):
            output = product_attention_forward(query, key, value, attention_mask, self.scaling)
            return linear(self.o_proj, output.flatten(2)), None
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        # (B, L, H, E) -> (B, L, D)
        return linear(self.o_proj, output.reshape(*output.shape[:2], -1)), weights

    def _prefers_products(self, query: Tensor) -> bool:
        """Whether `product_attention_forward` computes what `sdpa` would, and is faster."""
        return (
            not torch.compiler.is_compiling()
            and self.config._attn_implementation == "sdpa"
            and (not self.is_causal or query.shape[2] == 1)
            and query.device.type == "cpu"
            and query.dtype in (torch.bfloat16, torch.float16)
            and not torch.is_grad_enabled()
        )


class ConformerSelfAttention(_MultiHeadAttention):
    """Bidirectional self-attention, optionally with rotary or relative positions.

    Shape: `hidden_states` (B, L, D) -> (B, L, D) and weights (B, H, L, L) or None.
    """

    def __init__(self, config, layer_idx: int):
        super().__init__(config, layer_idx, bias=config.attention_bias)
        self.positions = config.position_embeddings_type
        self.rotate_inputs = self.positions == "rotary" and config.rotary_before_projection
        if self.positions == "relative":
            self.relative_k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
            self.bias_u = nn.Parameter(torch.zeros(self.num_heads, self.head_dim))
            self.bias_v = nn.Parameter(torch.zeros(self.num_heads, self.head_dim))
        elif self.positions == "relative_key":
            self.left = config.left_max_position_embeddings
            self.right = config.right_max_position_embeddings
            self.distance_embedding = nn.Embedding(self.left + self.right + 1, self.head_dim)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | Tensor | None = None,
        **kwargs,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            hidden_states: `(B, L, D)`.
            attention_mask: mask in the form of the attention backend; bool or additive with relative positions.
            position_embeddings: cosines and sines of `rotary`, `(1, 2 * L - 1, D)` sinusoids of `relative`, or None.
            **kwargs: passed to the attention backend.
        """
        turned = hidden_states
        if self.rotate_inputs:
            turned = apply_rotary(self.split_heads(hidden_states), *position_embeddings)
            turned = turned.transpose(1, 2).flatten(2)
        query = self.split_heads(linear(self.q_proj, turned))
        key = self.split_heads(linear(self.k_proj, turned))
        value = self.split_heads(linear(self.v_proj, hidden_states))
        if self.positions == "rotary" and not self.rotate_inputs and position_embeddings is not None:
            query = apply_rotary(query, *position_embeddings)
            key = apply_rotary(key, *position_embeddings)
        elif self.positions == "relative":
            attention_mask = add_position_scores(attention_mask, self._score_sinusoids(query, position_embeddings))
            query = query + self.bias_u[:, None].to(query.dtype)
        elif self.positions == "relative_key":
            attention_mask = add_position_scores(attention_mask, self._score_table(query))
        return self.attend(query, key, value, attention_mask, **kwargs)

    def _score_sinusoids(self, query: Tensor, sinusoids: Tensor) -> Tensor:
        """Scores `(B, H, L, L)` of `relative`: terms b and d of Transformer-XL; the attention computes a and c."""
        distances = self.split_heads(linear(self.relative_k_proj, sinusoids.to(query.dtype)))
        query = query + self.bias_v[:, None].to(query.dtype)
        return align_distances(torch.matmul(query, distances.transpose(2, 3))) * self.scaling

    def _score_table(self, query: Tensor) -> Tensor:
        """Scores `(B, H, L, L)` of `relative_key`.

        Products with every row of the table, selected by distance: an embedding per pair would need L * L * E values.
        """
        rows = clipped_distances(query.shape[2], self.left, self.right, query.device)
        scores = torch.matmul(query, self.distance_embedding.weight.to(query.dtype).T) * self.scaling
        return scores.gather(-1, rows.expand(*query.shape[:2], -1, -1))


class DecoderSelfAttention(_MultiHeadAttention):
    """Causal self-attention with a cache.

    Shape: `hidden_states` (B, L, D) -> (B, L, D) and weights (B, H, L, S) or None, S including the cached positions.
    """

    def __init__(self, config, layer_idx: int):
        super().__init__(config, layer_idx)
        self.is_causal = True

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs,
    ) -> tuple[Tensor, Tensor | None]:
        query = self.split_heads(linear(self.q_proj, hidden_states))
        key = self.split_heads(linear(self.k_proj, hidden_states))
        value = self.split_heads(linear(self.v_proj, hidden_states))
        if past_key_values is not None:
            cache = past_key_values
            if isinstance(past_key_values, EncoderDecoderCache):
                cache = past_key_values.self_attention_cache
            key, value = cache.update(key, value, self.layer_idx)
        return self.attend(query, key, value, attention_mask, **kwargs)


class DecoderCrossAttention(_MultiHeadAttention):
    """Attention from the target to the encoder's output; keys and values are computed once and cached.

    Shape: `hidden_states` (B, L, D), `encoder_hidden_states` (B, S, D) -> (B, L, D) and weights (B, H, L, S) or None.
    """

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs,
    ) -> tuple[Tensor, Tensor | None]:
        query = self.split_heads(linear(self.q_proj, hidden_states))
        cached = past_key_values is not None and past_key_values.is_updated.get(self.layer_idx)
        if cached:
            key = past_key_values.cross_attention_cache.layers[self.layer_idx].keys
            value = past_key_values.cross_attention_cache.layers[self.layer_idx].values
        else:
            key = self.split_heads(linear(self.k_proj, encoder_hidden_states))
            value = self.split_heads(linear(self.v_proj, encoder_hidden_states))
            if past_key_values is not None:
                # Read at every step: products with strided states are up to 20 times as slow.
                key, value = key.contiguous(), value.contiguous()
                key, value = past_key_values.cross_attention_cache.update(key, value, self.layer_idx)
                past_key_values.is_updated[self.layer_idx] = True
        return self.attend(query, key, value, attention_mask, **kwargs)
