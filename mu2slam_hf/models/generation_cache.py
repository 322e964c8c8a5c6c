# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Key-value caches: one whose rows have different lengths, can be rewound, and can leave the batch; one for beams.

Shapes: R rows, H heads, L new positions, S key positions, E head size.
"""

import inspect

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMixin

# `past_key_values` until transformers 5.23, `cache` from 5.24 on.
_ARGUMENTS = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
CACHE_ARGUMENT = "cache" if "cache" in _ARGUMENTS else "past_key_values"
"""What `generate` of the installed transformers calls the cache."""

_FIRST_CAPACITY = 64


class RaggedCacheLayer(CacheLayerMixin):
    """Keys and values of one layer, written at positions that differ between rows.

    Nothing is removed when a row is rewound: what stands after its end is overwritten before a later position may
    attend to it. The memory grows by doubling.
    """

    def __init__(self) -> None:
        super().__init__()
        self.positions: Tensor | None = None
        self.first = 0
        self.stop = 0
        self.rows: Tensor | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Called by transformers: reserve memory for tensors like `key_states` `(R, H, L, E)`."""
        self.dtype, self.device = key_states.dtype, key_states.device
        rows, heads, _, size = key_states.shape
        self.keys = key_states.new_zeros((rows, heads, _FIRST_CAPACITY, size))
        self.values = torch.zeros_like(self.keys)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Write `(R, H, L, E)` at the positions of [`RaggedCache.place`]; returns `(R, H, S, E)` up to the last."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        while self.stop > self.keys.shape[2]:
            self.keys = torch.cat([self.keys, torch.zeros_like(self.keys)], dim=2)
            self.values = torch.cat([self.values, torch.zeros_like(self.values)], dim=2)
        if self.positions is None:
            self.keys[:, :, self.first : self.stop] = key_states
            self.values[:, :, self.first : self.stop] = value_states
        else:
            self.keys[self.rows, :, self.positions] = key_states.transpose(1, 2)
            self.values[self.rows, :, self.positions] = value_states.transpose(1, 2)
        return self.keys[:, :, : self.stop], self.values[:, :, : self.stop]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Called by transformers: number of key positions, and the first of them."""
        return self.stop, 0

    def get_seq_length(self) -> int:
        """The first new position of the shortest row."""
        return self.first

    def get_max_length(self) -> int:
        """Called by transformers: -1, because the layer grows."""
        return -1


class SharedSourceCache(EncoderDecoderCache):
    """Cache of an encoder-decoder for beam search: the beams of an utterance share its projected source.

    When beams are reordered, only self-attention follows: the source of a row is that of every row it may come from.

    Args:
        config: configuration of the decoder.
    """

    def __init__(self, config):
        super().__init__(DynamicCache(config=config), DynamicCache(config=config))

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Move rows `(R,)` int64 to where `beam_idx` says, each within its utterance."""
        self.self_attention_cache.reorder_cache(beam_idx)


class RaggedCache(EncoderDecoderCache):
    """Cache of an encoder-decoder: ragged self-attention, and the projected source.

    Args:
        config: configuration of the decoder.
    """

    def __init__(self, config):
        layers = [RaggedCacheLayer() for _ in range(config.num_hidden_layers)]
        super().__init__(Cache(layers=layers), DynamicCache())

    def place(self, starts: list[int], length: int, device: torch.device) -> Tensor | None:
        """Say where the next `length` positions of each row are written.

        Args:
            starts: first new position of each row.
            length: number of new positions L.
            device: device of the cache.

        Returns:
            positions `(R, L)` int64, or None if all rows start at the same one.
        """
        positions = rows = None
        if min(starts) != max(starts):
            positions = torch.tensor(starts, device=device)[:, None] + torch.arange(length, device=device)
            rows = torch.arange(len(starts), device=device)[:, None]
        for layer in self.self_attention_cache.layers:
            layer.positions, layer.rows = positions, rows
            layer.first, layer.stop = min(starts), max(starts) + length
        return positions

    def keep_rows(self, rows: Tensor) -> None:
        """Keep only these rows `(R',)` int64."""
        for layer in (*self.self_attention_cache.layers, *self.cross_attention_cache.layers):
            layer.keys, layer.values = layer.keys.index_select(0, rows), layer.values.index_select(0, rows)
