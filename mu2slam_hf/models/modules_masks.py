# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which position may see which: packed rows and sources of packed targets.

Shapes: B batch, L query positions, S key positions.
"""

from collections.abc import Callable

from torch import Tensor


def same_sequence(query_ids: Tensor, key_ids: Tensor) -> Callable:
    """Mask function for transformers' `create_*_mask`: True where query and key carry the same sequence id.

    Padding (id 0) sees padding only: no real position is touched, and no row of the mask is empty (an empty row would
    turn into NaN in some backends).

    Args:
        query_ids: `(B, L)` int64.
        key_ids: `(B, S)` int64.
    """

    def allowed(batch_idx, head_idx, query_idx, key_idx):
        return query_ids[batch_idx, query_idx] == key_ids[batch_idx, key_idx]

    return allowed


def check_packing_backend(config) -> None:
    """Packed rows need a backend that takes a full mask.

    Raises:
        ValueError: with a flash-attention backend, which would silently attend across sequences.
    """
    backend = config._attn_implementation or "eager"
    if "flash" in backend:
        raise ValueError(
            f"Packed rows (sequence_ids) need attn_implementation 'sdpa', 'flex_attention' or 'eager'; this model "
            f"runs {backend!r}, which takes no mask between sequences. Call model.set_attn_implementation('sdpa')."
        )


def check_position_backend(config) -> None:
    """Relative positions need a backend that takes additive scores.

    Raises:
        ValueError: with another backend, which would silently lose the positions.
    """
    backend = config._attn_implementation or "eager"
    if backend not in ("eager", "sdpa"):
        raise ValueError(
            f"position_embeddings_type={config.position_embeddings_type!r} needs attn_implementation 'sdpa' or "
            f"'eager'; this model runs {backend!r}. Call model.set_attn_implementation('sdpa')."
        )
