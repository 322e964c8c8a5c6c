# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Random draws that depend on their keys only, not on earlier draws.

Choice: every draw has its own generator, keyed by seed, epoch, copy, id of the example and purpose. It is therefore
the same for any number of workers and processes, after a resume, and when another kind of draw is enabled.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from mu2slam_hf.data.examples.example import Example


class DrawKey(NamedTuple):
    """Key of a sampler for the data set: an example and the version of its random draws.

    Attributes:
        example: position in the data set's table, or the example itself in streams.
        epoch: number of the pass over the data.
        copy: number of earlier occurrences of the example in this epoch (over-sampled languages repeat).
        step: optimizer step of the batch; used only by schedules of augmentation and masking.
        phase: number of the phase of a run, from 0.
    """

    example: "int | Example"
    epoch: int = 0
    copy: int = 0
    step: int = 0
    phase: int = 0


def counter_generator(seed: int, *counters: int | str) -> np.random.Generator:
    """A generator that is a function of its arguments only (Philox, keyed by a hash)."""
    text = "\x1f".join((str(seed), *map(str, counters)))
    digest = blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def draw_generator(seed: int, key: DrawKey, example_id: str, purpose: str) -> np.random.Generator:
    """The generator of one purpose for one draw of one example."""
    return counter_generator(seed, key.epoch, key.copy, example_id, purpose)
