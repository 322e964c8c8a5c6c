# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Distribution of the examples of an update over the micro-batches of all devices."""

import numpy as np

from mu2slam_hf.data.sampling.mixture import FloatArray, IntArray


def deal_evenly(sizes: FloatArray, kinds: IntArray, num_slots: int) -> IntArray:
    """Deal examples to slots so that all have as many of each kind, as far as the numbers allow, and equal sums.

    Kind by kind, the largest example goes to the slot that has least, and empty slots come before all others. So up
    to `num_slots` examples of all kinds lie one in each slot. What "least" means is weighed by what the examples of
    the kind have: speech goes where there are few seconds, text where there are few tokens.

    Choice: seconds and tokens are evened out each for itself, not their sum, because each may have a budget.

    Args:
        sizes: `(n, m)`: m sizes of each example, 0 or more.
        kinds: `(n,)` numbers of the kinds.
        num_slots: number of slots.

    Returns:
        `(n,)` number of the slot of each example; a function of the arguments only.
    """
    sizes = sizes / np.maximum(sizes.mean(axis=0), 1e-9)
    slots = np.zeros(len(sizes), dtype=np.int64)
    load = np.zeros((num_slots, sizes.shape[1]))
    taken = np.zeros(num_slots, dtype=bool)
    present = np.unique(kinds)
    usage = np.stack([sizes[kinds == kind].mean(axis=0) for kind in present])
    # What has several sizes first, the single ones even out the rest; of equal ones the larger first.
    order = np.lexsort((-usage.max(axis=1), -(usage > 0).sum(axis=1)))
    for kind, weights in zip(present[order], usage[order], strict=True):
        members = np.flatnonzero(kinds == kind)
        members = members[np.argsort(-(sizes[members] @ weights), kind="stable")]
        for start in range(0, len(members), num_slots):
            round_members = members[start : start + num_slots]
            takers = np.lexsort((load @ weights, taken))[: len(round_members)]
            slots[round_members] = takers
            load[takers] += sizes[round_members]
            taken[takers] = True
    return slots
