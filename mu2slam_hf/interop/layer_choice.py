# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which layers of a stack are kept."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor


def choose_layers(wanted: int | Sequence[int] | None, num_layers: int, name: str) -> list[int]:
    """Numbers of the kept layers, from 0.

    Args:
        wanted: None for all; a number of layers, which are evenly spaced with the first and the last among them (a
            single one is the last); or their numbers, ascending.
        num_layers: number of layers of the source.
        name: name of the argument, for messages.

    Raises:
        ValueError: no layer, more layers than there are, or numbers that are not ascending or do not exist.
    """
    if wanted is None:
        return list(range(num_layers))
    if isinstance(wanted, int):
        if not 1 <= wanted <= num_layers:
            raise ValueError(f"{name} must be between 1 and {num_layers}, the layers of the source; got {wanted}.")
        if wanted == 1:
            return [num_layers - 1]
        return [round(index * (num_layers - 1) / (wanted - 1)) for index in range(wanted)]
    chosen = list(wanted)
    if not chosen or chosen != sorted(set(chosen)) or chosen[0] < 0 or chosen[-1] >= num_layers:
        raise ValueError(f"{name} must be ascending numbers of layers from 0 to {num_layers - 1}, got {chosen}.")
    return chosen


def keep_layers(state_dict: Mapping[str, Tensor], prefix: str, chosen: Sequence[int]) -> dict[str, Tensor]:
    """Weights without the layers that are not chosen; their numbers, after `prefix`, are counted anew."""
    numbers = {str(old): str(new) for new, old in enumerate(chosen)}
    kept = {}
    for name, tensor in state_dict.items():
        match = re.fullmatch(re.escape(prefix) + r"(\d+)(\..*)", name)
        if match is None:
            kept[name] = tensor
        elif match[1] in numbers:
            kept[prefix + numbers[match[1]] + match[2]] = tensor
    return kept
