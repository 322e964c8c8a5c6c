# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The Transformer decoder layer. Letters: B batch, L target positions, S source positions, D width."""

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_mu2slam import Mu2SLAMDecoderConfig
from .modules_attention import DecoderCrossAttention, DecoderSelfAttention
from .modules_layers import apply_dropout, linear


class TransformerDecoderLayer(GradientCheckpointingLayer):
    """Causal self-attention, cross-attention and feed-forward, each with pre-normalisation.

    Paper: section 2.1 (Vaswani et al., 2017). Choice: pre-norm, which trains without a special warm-up.
    Shape: (B, L, D) -> (B, L, D).
    """

    def __init__(self, config: Mu2SLAMDecoderConfig, layer_idx: int):
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.self_attn_norm = nn.LayerNorm(width, eps=eps)
        self.self_attn = DecoderSelfAttention(config, layer_idx)
        self.cross_attn_norm = nn.LayerNorm(width, eps=eps)
        self.cross_attn = DecoderCrossAttention(config, layer_idx)
        self.feed_forward_norm = nn.LayerNorm(width, eps=eps)
        self.up_proj = nn.Linear(width, config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, width)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = config.hidden_dropout
        self.activation_dropout = config.activation_dropout

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
        **kwargs,
    ) -> Tensor:
        """Run the layer.

        Args:
            hidden_states: `(B, L, D)`.
            attention_mask: causal mask in the backend's form.
            encoder_hidden_states: `(B, S, D)`.
            encoder_attention_mask: mask of the source in the backend's form.
            past_key_values: keys and values of earlier positions, or None.
        """
        attended, _ = self.self_attn(self.self_attn_norm(hidden_states), attention_mask, past_key_values, **kwargs)
        hidden_states = hidden_states + self._drop(attended)
        attended, _ = self.cross_attn(
            self.cross_attn_norm(hidden_states),
            encoder_hidden_states,
            encoder_attention_mask,
            past_key_values,
            **kwargs,
        )
        hidden_states = hidden_states + self._drop(attended)
        inner = self.activation(linear(self.up_proj, self.feed_forward_norm(hidden_states)))
        inner = apply_dropout(inner, self.activation_dropout, self.training)
        return hidden_states + self._drop(linear(self.down_proj, inner))

    def _drop(self, hidden_states: Tensor) -> Tensor:
        return apply_dropout(hidden_states, self.dropout, self.training)
