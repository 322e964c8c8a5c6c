# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Confidence intervals of shares."""

from math import sqrt

_NORMAL_95 = 1.959963984540054


def wilson_interval(num_right: int, num_items: int) -> tuple[float, float]:
    """Bounds in percent of the 95 % confidence interval of a share (Wilson's score interval; items independent).

    Raises:
        ValueError: not `0 <= num_right <= num_items`, or no items.
    """
    if not 0 <= num_right <= num_items or num_items < 1:
        raise ValueError(f"expected 0 <= num_right <= num_items and at least one item, got {num_right}, {num_items}")
    share, weight = num_right / num_items, _NORMAL_95**2 / num_items
    centre = share + weight / 2
    margin = _NORMAL_95 * sqrt(share * (1 - share) / num_items + weight / (4 * num_items))
    low, high = (centre - margin) / (1 + weight), (centre + margin) / (1 + weight)
    return 100.0 * max(0.0, low), 100.0 * min(1.0, high)
