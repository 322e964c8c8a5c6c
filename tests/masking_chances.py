# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Closed forms of what masking draws, and a test of counts against chances."""

import numpy as np


def assert_shares(counts, chances, num_draws):
    """Counts of successes agree with their chances within five standard deviations of the binomial distribution."""
    chances = np.asarray(chances)
    assert ((chances >= 0) & (chances <= 1 + 1e-12)).all()
    tolerance = 5 * np.sqrt(chances * (1 - chances).clip(min=0) / num_draws) + 1e-9
    np.testing.assert_array_less(np.abs(np.asarray(counts) / num_draws - chances), tolerance)


def frame_mask_chance(position: int, start_prob: float, span_length: int, num_frames: int | None = None) -> float:
    """Chance that the frame at a position is masked: one of the spans that could cover it starts.

    In a clip of `num_frames` also the share of draws in which no span starts and one frame is masked all the same;
    None: a clip so long that some span always starts.
    """
    stays = 1.0 - start_prob
    chance = 1.0 - stays ** min(position + 1, span_length)
    return chance if num_frames is None else chance + stays**num_frames / num_frames


def word_mask_chance(position: int, num_words: int, ratio: float) -> float:
    """Chance that the word at a position is chosen by `draw_span_mask`: the mean over its rounding and its places."""
    exact = ratio * num_words
    chance = 0.0
    for number, share in ((int(exact), 1.0 - (exact - int(exact))), (int(exact) + 1, exact - int(exact))):
        number = min(max(number, 1), num_words)
        covering = min(position, num_words - number) - max(position - number + 1, 0) + 1
        chance += share * covering / (num_words - number + 1)
    return chance
