# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Changes of log-mel features: other speakers, and more or less silence around the speech.

Legend: T = 10 ms frames, F = mel bins.
"""

import torch
from torch import Tensor

_PAUSE_SHARE = 0.2
_VARIANCE_FLOOR = 1e-7


def warp_frequencies(features: Tensor, factor: float) -> Tensor:
    """Scale the frequency axis of log-mel features: `(T, F)` -> `(T, F)`, bin f is what bin f / factor was.

    Formants move up for factor > 1. Linear interpolation between bins; above the last bin its value is repeated.
    Choice: the mel axis is scaled, not hertz: both move the formants of speech by about the same share, and this
    needs nothing but the bins.
    """
    num_bins = features.shape[1]
    positions = (torch.arange(num_bins, dtype=torch.float32) / factor).clamp(max=num_bins - 1)
    lower = positions.long()
    upper = (lower + 1).clamp(max=num_bins - 1)
    share = (positions - lower).to(features.dtype)
    return features[:, lower] * (1 - share) + features[:, upper] * share


def reweight_pauses(features: Tensor, factor: float) -> Tensor:
    """Normalise features again, as if the pauses of the utterance had another duration: `(T, F)` -> `(T, F)`.

    Mean and variance of an utterance depend on how much silence is around its speech, which differs between
    recordings; its frames stay where they are.

    Args:
        features: `(T, F)` float, of any normalisation.
        factor: how many times as long the pauses are: the quietest fifth of the frames, by their mean over bins.

    Returns:
        features with mean 0 and variance 1 in every bin, where each frame of a pause counts `factor` times.
    """
    loudness = features.mean(dim=1)
    weights = torch.where(loudness <= torch.quantile(loudness, _PAUSE_SHARE), factor, 1.0)[:, None]
    weights = (weights / weights.sum()).to(features.dtype)
    mean = (weights * features).sum(dim=0)
    variance = (weights * (features - mean) ** 2).sum(dim=0)
    return (features - mean) * (variance + _VARIANCE_FLOOR).rsqrt()
