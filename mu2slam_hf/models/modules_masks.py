# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Attention masks of packed rows and of the sources of packed targets, and checks of attention backends.

Shapes: B batch, L query positions, S key positions.
"""

from collections.abc import Callable

from torch import Tensor


def same_sequence(query_ids: Tensor, key_ids: Tensor) -> Callable:
    """Mask function for transformers' `create_*_mask`: True where query and key have the same sequence id.

    Padding (id 0) attends to padding only: real positions are unaffected, and no row of the mask is empty (an empty
    row would give NaN in some backends).

    Args:
        query_ids: `(B, L)` int64.
        key_ids: `(B, S)` int64.
    """

    def allowed(batch_idx, head_idx, query_idx, key_idx):
        return query_ids[batch_idx, query_idx] == key_ids[batch_idx, key_idx]

    return allowed


def check_packing_backend(config) -> None:
    """Check that the attention backend supports a full mask, as packed rows require.

    Raises:
        ValueError: a flash-attention backend is used, which would silently attend across sequences.
    """
    backend = config._attn_implementation or "eager"
    if "flash" in backend:
        raise ValueError(
            "Packed rows (sequence_ids) require attn_implementation 'sdpa', 'flex_attention' or 'eager', but this "
            f"model uses {backend!r}. Call model.set_attn_implementation('sdpa')."
        )


def check_position_backend(config) -> None:
    """Check that the attention backend supports additive scores, as relative positions require.

    Raises:
        ValueError: another backend is used, which would silently ignore the positions.
    """
    backend = config._attn_implementation or "eager"
    if backend not in ("eager", "sdpa"):
        raise ValueError(
            f"position_embeddings_type={config.position_embeddings_type!r} requires attn_implementation 'sdpa' or "
            f"'eager'; this model uses {backend!r}. Call model.set_attn_implementation('sdpa')."
        )
