# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A schedule of masking that starts slowly and ends slowly."""

import math


def cosine_share(step: int, num_steps: int) -> float:
    """Share of the configured masking: half a cosine from nearly 0 to 1 over `num_steps` updates."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, (step + 1) / num_steps))
