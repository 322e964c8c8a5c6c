# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The Conformer layer: two half-step feed-forward modules around self-attention and convolution.

Shapes: B batch, L positions, D width, K kernel size, G groups.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_conformer import ConformerEncoderConfig
from .modules_attention import ConformerSelfAttention
from .modules_layers import ChannelNorm, SequenceBatchNorm, apply_dropout, at_least_float32, linear
from .modules_residual_adapters import ResidualAdapters
from .modules_segments import fold_chunks, unfold_chunks

# Positions of a long row that a feed-forward module transforms at once in inference; all of them together would need
# several times the memory of everything else.
_BLOCK_FRAMES = 4096


class ConformerFeedForward(nn.Module):
    """Linear, activation, linear. Shape: (B, L, D) -> (B, L, D)."""

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.attention_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.attention_bias)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = config.activation_dropout

    def forward(self, hidden_states: Tensor) -> Tensor:
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or hidden_states.shape[1] <= _BLOCK_FRAMES:
            return self._transform(hidden_states)
        return torch.cat([self._transform(block) for block in hidden_states.split(_BLOCK_FRAMES, dim=1)], dim=1)

    def _transform(self, hidden_states: Tensor) -> Tensor:
        hidden_states = self.activation(linear(self.up_proj, hidden_states))
        if self.training:
            hidden_states = apply_dropout(hidden_states, self.dropout, True)
        return linear(self.down_proj, hidden_states)


class SequenceGroupNorm(ChannelNorm):
    """Group normalisation with statistics over the real frames of one sequence.

    nn.GroupNorm would include padding frames and mix the sequences of a packed row.
    Choice: the two segments of a pair are one sequence here (they share a sequence id).
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float):
        super().__init__(num_channels, eps)
        self.num_groups = num_groups

    def forward(self, hidden_states: Tensor, sequence_ids: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            hidden_states: `(B, L, D)`.
            sequence_ids: `(B, L)` int64, 0 on padding; None when every row is one whole sequence.
        """
        if sequence_ids is None and not torch.is_grad_enabled():
            # torch's own is 20 times as fast on a CPU; its gradients are less exact where frames are few.
            # (B, L, D) -> (B, D, 1, L) without a copy: "channels last" images of one line
            states = hidden_states.transpose(1, 2).unsqueeze(2)
            states = nn.functional.group_norm(states, self.num_groups, self.weight, self.bias, self.eps)
            return states.squeeze(2).transpose(1, 2).to(hidden_states.dtype)
        batch, length, width = hidden_states.shape
        # (B, L, D) -> (B, L, G, D / G)
        states = at_least_float32(hidden_states).view(batch, length, self.num_groups, -1)
        if sequence_ids is None:
            mean = states.mean(dim=(1, 3), keepdim=True)
            variance = states.var(dim=(1, 3), keepdim=True, unbiased=False)
        else:
            mean, variance = self._statistics(states, sequence_ids)
        states = (states - mean) * torch.rsqrt(variance + self.eps)
        states = states.view(batch, length, width) * at_least_float32(self.weight) + at_least_float32(self.bias)
        return states.to(hidden_states.dtype)

    def _statistics(self, states: Tensor, sequence_ids: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, groups, size = states.shape
        index = sequence_ids[:, :, None].expand(batch, length, groups)
        slots = length + 1  # sequence ids do not exceed the number of positions
        zeros = states.new_zeros(batch, slots, groups)
        count = zeros.scatter_add(1, index, states.new_full((), size).expand(batch, length, groups)).clamp(min=1)
        mean = (zeros.scatter_add(1, index, states.sum(-1)) / count).gather(1, index)[..., None]
        squares = (states - mean).square().sum(-1)
        variance = (zeros.scatter_add(1, index, squares) / count).gather(1, index)[..., None]
        return mean, variance


class GappedRows(NamedTuple):
    """Packed rows with gaps between their sequences, so that a standard convolution does not mix them.

    Attributes:
        slots: `(B * L,)` int64: index of each position of the packed rows in the concatenated rows of `width`.
        width: length of a row with its gaps.
    """

    slots: Tensor
    width: int


def find_gapped_rows(sequence_ids: Tensor, gap: int) -> GappedRows:
    """Insert gaps between the sequences of packed rows.

    Args:
        sequence_ids: `(B, L)` int64.
        gap: number of positions between two sequences, at least the reach of the kernel to either side.
    """
    batch, length = sequence_ids.shape
    # (B, L): number of sequences that began at or before each position, not counting the first
    number = nn.functional.pad(sequence_ids[:, 1:] != sequence_ids[:, :-1], (1, 0)).cumsum(dim=1)
    indices = torch.arange(length, device=sequence_ids.device) + gap * number
    width = length + gap * int(number[:, -1].max())
    rows = torch.arange(batch, device=sequence_ids.device)[:, None] * width
    return GappedRows((rows + indices).flatten(), width)


class ConformerConvolution(nn.Module):
    """Pointwise GLU, depthwise convolution, normalisation, activation, pointwise. Shape: (B, L, D) -> (B, L, D)."""

    def __init__(self, config: ConformerEncoderConfig):
        super().__init__()
        width, kernel_size = config.hidden_size, config.conv_depthwise_kernel_size
        self.pointwise_conv1 = nn.Linear(width, 2 * width, bias=config.convolution_bias)
        self.depthwise_conv = nn.Conv1d(width, width, kernel_size, groups=width, bias=config.convolution_bias)
        if config.conv_norm == "group":
            self.norm = SequenceGroupNorm(config.conv_norm_groups, width, config.layer_norm_eps)
        elif config.conv_norm == "batch":
            self.norm = SequenceBatchNorm(width, config.layer_norm_eps)
        else:
            self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.activation = ACT2FN[config.hidden_act]
        self.pointwise_conv2 = nn.Linear(width, width, bias=config.convolution_bias)
        self.left = kernel_size - 1 if config.conv_causal else (kernel_size - 1) // 2
        self.right = kernel_size - 1 - self.left
        self.reach = max(self.left, self.right)

    def forward(
        self,
        hidden_states: Tensor,
        frame_mask: Tensor | None,
        sequence_ids: Tensor | None,
        gapped_rows: GappedRows | None = None,
    ) -> Tensor:
        """Convolve along time.

        Args:
            hidden_states: `(B, L, D)`.
            frame_mask: `(B, L)` bool, True on real positions; None when nothing is padded.
            sequence_ids: `(B, L)` int64 when rows hold several sequences, else None.
            gapped_rows: gapped rows for `sequence_ids`: the same result, several times faster.
        """
        hidden_states = nn.functional.glu(linear(self.pointwise_conv1, hidden_states), dim=-1)
        if frame_mask is not None:
            # Masked before the convolution, so that padding does not leak into real frames.
            hidden_states = hidden_states.masked_fill(~frame_mask[..., None], 0.0)
        if sequence_ids is None:
            hidden_states = self._convolve_rows(hidden_states)
        elif gapped_rows is not None:
            hidden_states = self._convolve_gapped(hidden_states, gapped_rows)
        else:
            hidden_states = self._convolve_packed(hidden_states, sequence_ids)
        if isinstance(self.norm, SequenceGroupNorm):
            if sequence_ids is None and frame_mask is not None:
                sequence_ids = frame_mask.to(torch.int64)
            hidden_states = self.norm(hidden_states, sequence_ids)
        elif isinstance(self.norm, SequenceBatchNorm):
            hidden_states = self.norm(hidden_states, frame_mask)
        else:
            hidden_states = self.norm(hidden_states)
        return linear(self.pointwise_conv2, self.activation(hidden_states))

    def _convolve_rows(self, hidden_states: Tensor) -> Tensor:
        if hidden_states.device.type == "cpu":
            return self._convolve_lines(hidden_states)
        # (B, L, D) -> (B, D, L)
        hidden_states = nn.functional.pad(hidden_states.transpose(1, 2), (self.left, self.right))
        return self.depthwise_conv(hidden_states).transpose(1, 2)

    def _convolve_lines(self, hidden_states: Tensor) -> Tensor:
        """The convolution of "channels last" images of one line, which needs no copies and is faster on a CPU."""
        conv, length = self.depthwise_conv, hidden_states.shape[1]
        # (B, L, D) -> (B, D, 1, L), a view
        images = hidden_states.transpose(1, 2).unsqueeze(2)
        padding = (0, max(self.left, self.right))
        images = nn.functional.conv2d(images, conv.weight.unsqueeze(2), conv.bias, padding=padding, groups=conv.groups)
        return images.squeeze(2).transpose(1, 2)[:, :length]

    def _convolve_gapped(self, hidden_states: Tensor, gapped_rows: GappedRows) -> Tensor:
        slots, width = gapped_rows
        flat = hidden_states.flatten(0, 1)
        gapped = flat.new_zeros(len(hidden_states) * width, flat.shape[-1]).index_copy(0, slots, flat)
        # (B * W, D) -> (B, W, D), and back
        gapped = self._convolve_rows(gapped.unflatten(0, (-1, width)))
        return gapped.flatten(0, 1).index_select(0, slots).view(hidden_states.shape)

    def _convolve_packed(self, hidden_states: Tensor, sequence_ids: Tensor) -> Tensor:
        # Tap by tap: a tap contributes only if its input belongs to the same sequence as its output.
        length = hidden_states.shape[1]
        padded = nn.functional.pad(hidden_states, (0, 0, self.left, self.right))
        padded_ids = nn.functional.pad(sequence_ids, (self.left, self.right))
        output = torch.zeros_like(hidden_states)
        for tap in range(self.left + self.right + 1):
            same = (padded_ids[:, tap : tap + length] == sequence_ids)[..., None]
            shifted = padded[:, tap : tap + length].masked_fill(~same, 0.0)
            output = output + shifted * self.depthwise_conv.weight[:, 0, tap].to(shifted.dtype)
        if self.depthwise_conv.bias is not None:
            output = output + self.depthwise_conv.bias.to(output.dtype)
        return output


class ConformerLayer(GradientCheckpointingLayer):
    """One Conformer layer (Gulati et al., 2020). Shape: (B, L, D) -> (B, L, D)."""

    def __init__(self, config: ConformerEncoderConfig, layer_idx: int):
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.feed_forward1_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward1 = ConformerFeedForward(config)
        self.self_attn_norm = nn.LayerNorm(width, eps=eps)
        self.self_attn = ConformerSelfAttention(config, layer_idx)
        self.conv_norm = nn.LayerNorm(width, eps=eps)
        self.conv = ConformerConvolution(config)
        self.feed_forward2_norm = nn.LayerNorm(width, eps=eps)
        self.feed_forward2 = ConformerFeedForward(config)
        self.final_norm = nn.LayerNorm(width, eps=eps)
        self.dropout = config.hidden_dropout
        self.adapters, self.adapts_feed_forward = None, config.adapter_position == "feed_forward"
        if config.adapter_size and layer_idx >= config.adapter_start_layer:
            count = 2 if self.adapts_feed_forward else 1
            self.adapters = nn.ModuleList(ResidualAdapters(config) for _ in range(count))

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        sequence_ids: Tensor | None = None,
        position_embeddings: tuple[Tensor, Tensor] | Tensor | None = None,
        gapped_rows: GappedRows | None = None,
        chunk_frames: int | None = None,
        language_ids: Tensor | None = None,
        **kwargs,
    ) -> Tensor:
        """Run the layer.

        Args:
            hidden_states: `(B, L, D)`.
            attention_mask: mask in the form of the attention backend.
            frame_mask: `(B, L)` bool, True on real positions, or None.
            sequence_ids: `(B, L)` int64 for packed rows, or None.
            position_embeddings: rotary cosines and sines, relative sinusoids, or None.
            gapped_rows: of `sequence_ids`, or None.
            chunk_frames: length of the chunks into which rows are folded around the attention, whose mask and
                positions are those of chunks; None to attend over rows.
            language_ids: `(B,)` or `(B, L)` int64 rows of the adapters; None without adapters.
        """
        hidden_states = self._run_feed_forward(0, hidden_states, language_ids)
        states = self.self_attn_norm(hidden_states)
        if chunk_frames is not None:
            states = fold_chunks(states, chunk_frames)
        attended, _ = self.self_attn(states, attention_mask, position_embeddings, **kwargs)
        if chunk_frames is not None:
            attended = unfold_chunks(attended, *hidden_states.shape[:2])
        hidden_states = hidden_states + self._drop(attended)
        convolved = self.conv(self.conv_norm(hidden_states), frame_mask, sequence_ids, gapped_rows)
        hidden_states = hidden_states + self._drop(convolved)
        hidden_states = self.final_norm(self._run_feed_forward(1, hidden_states, language_ids))
        if self.adapters is None or self.adapts_feed_forward:
            return hidden_states
        return hidden_states + self._drop(self.adapters[0](hidden_states, language_ids))

    def _run_feed_forward(self, number: int, hidden_states: Tensor, language_ids: Tensor | None) -> Tensor:
        """The first (0) or second (1) half-step feed-forward module, with the adapter that is parallel to it."""
        module, norm = (
            (self.feed_forward1, self.feed_forward1_norm),
            (self.feed_forward2, self.feed_forward2_norm),
        )[number]
        result = torch.add(hidden_states, self._drop(module(norm(hidden_states))), alpha=0.5)
        if self.adapters is None or not self.adapts_feed_forward:
            return result
        return result + self._drop(self.adapters[number](hidden_states, language_ids))

    def _drop(self, hidden_states: Tensor) -> Tensor:
        if not self.training:
            return hidden_states
        return apply_dropout(hidden_states, self.dropout, self.training)
