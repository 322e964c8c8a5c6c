# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Random draws that depend on what they are drawn for, never on what was drawn before.

Choice: every draw comes from a generator of its own, keyed by seed, epoch, copy, id of the example and purpose. So it
is the same for any number of workers and processes, after a resume, and when another kind of draw is switched on.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mu2slam_hf.data.examples.example import Example


class DrawKey(NamedTuple):
    """What a sampler hands to the data set: which example, and which of its random versions.

    Attributes:
        example: position in the data set's table, or the example itself where it comes from a stream.
        epoch: number of the pass over the data.
        copy: how many times the example came before in this epoch (over-sampled languages repeat).
        step: optimizer step that the batch belongs to; it only decides what a curriculum has switched on.
        phase: number of the phase of a run, from 0.
    """

    example: "int | Example"
    epoch: int = 0
    copy: int = 0
    step: int = 0
    phase: int = 0


def counter_generator(seed: int, *counters: int | str) -> np.random.Generator:
    """A generator that is a function of its arguments alone (Philox, keyed by a hash)."""
    text = "\x1f".join((str(seed), *map(str, counters)))
    digest = blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def draw_generator(seed: int, key: DrawKey, example_id: str, purpose: str) -> np.random.Generator:
    """The generator of one purpose for one draw of one example."""
    return counter_generator(seed, key.epoch, key.copy, example_id, purpose)
