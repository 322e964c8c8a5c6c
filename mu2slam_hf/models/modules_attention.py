# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Self-attention of the encoder, self- and cross-attention of the decoder, on transformers' attention interface.

Letters: B batch, L query positions, S key positions, D width, H heads, E head size.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .modules_positions import apply_rotary


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
    """Plain attention: the reference of every other backend.

    Args:
        module: the calling module; only its `training` flag is read.
        query: `(B, H, L, E)`.
        key: `(B, H, S, E)`.
        value: `(B, H, S, E)`.
        attention_mask: `(B, 1, L, S)` added to the scores, 0 where allowed and very negative elsewhere, or None.
        scaling: factor on the scores.
        dropout: probability on the weights, in training.

    Returns:
        `(B, L, H, E)` and the weights `(B, H, L, S)`.
    """
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class _MultiHeadAttention(nn.Module):
    """The four projections and the dispatch that the three attentions below share."""

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
        """Moves the heads out: (B, L, D) -> (B, H, L, E)."""
        return states.view(*states.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs):
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
        return self.o_proj(output.reshape(*output.shape[:2], -1)), weights


class ConformerSelfAttention(_MultiHeadAttention):
    """Bidirectional self-attention, optionally with rotary positions.

    Shape: `hidden_states` (B, L, D) -> (B, L, D) and weights (B, H, L, L) or None.
    """

    def __init__(self, config, layer_idx: int):
        super().__init__(config, layer_idx, bias=config.attention_bias)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        **kwargs,
    ) -> tuple[Tensor, Tensor | None]:
        query = self.split_heads(self.q_proj(hidden_states))
        key = self.split_heads(self.k_proj(hidden_states))
        value = self.split_heads(self.v_proj(hidden_states))
        if position_embeddings is not None:
            query = apply_rotary(query, *position_embeddings)
            key = apply_rotary(key, *position_embeddings)
        return self.attend(query, key, value, attention_mask, **kwargs)


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
        query = self.split_heads(self.q_proj(hidden_states))
        key = self.split_heads(self.k_proj(hidden_states))
        value = self.split_heads(self.v_proj(hidden_states))
        if past_key_values is not None:
            cache = past_key_values
            if isinstance(past_key_values, EncoderDecoderCache):
                cache = past_key_values.self_attention_cache
            key, value = cache.update(key, value, self.layer_idx)
        return self.attend(query, key, value, attention_mask, **kwargs)


class DecoderCrossAttention(_MultiHeadAttention):
    """Attention from the target to the encoder's output; keys and values are computed once and kept in the cache.

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
        query = self.split_heads(self.q_proj(hidden_states))
        cached = past_key_values is not None and past_key_values.is_updated.get(self.layer_idx)
        if cached:
            key = past_key_values.cross_attention_cache.layers[self.layer_idx].keys
            value = past_key_values.cross_attention_cache.layers[self.layer_idx].values
        else:
            key = self.split_heads(self.k_proj(encoder_hidden_states))
            value = self.split_heads(self.v_proj(encoder_hidden_states))
            if past_key_values is not None:
                key, value = past_key_values.cross_attention_cache.update(key, value, self.layer_idx)
                past_key_values.is_updated[self.layer_idx] = True
        return self.attend(query, key, value, attention_mask, **kwargs)
