# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The decision whether a recording has speech: from its sound, CTC, and the agreement of decoder and CTC.

Shapes: N encoder frames, V vocabulary.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mu2slam_hf.inference.ctc_alignment import ctc_log_likelihoods
from mu2slam_hf.models.generation_settings import find_setting

SETTINGS_NAME = "no_speech"
"""Name in the generation configuration (of a CTC model: in the configuration)."""

AGREEMENT = "agreement"
# Values further from the mean count as this many deviations.
_MAX_DEVIATIONS = 4.0
# Agreement of a perfect text, and of one that has nothing to do with the recording.
_AGREEMENT_RANGE = (-1.0, 0.2)


@dataclass(frozen=True, kw_only=True)
class FeatureWeight:
    """How a feature counts: `linear * z + square * z ** 2`, with `z = (value - mean) / deviation` within +-4."""

    mean: float
    deviation: float
    linear: float
    square: float = 0.0

    def __call__(self, value: float) -> float:
        """The contribution of a value to the score."""
        z = min(max((value - self.mean) / self.deviation, -_MAX_DEVIATIONS), _MAX_DEVIATIONS)
        return self.linear * z + self.square * z * z

    def largest(self) -> float:
        """The largest contribution of any value."""
        edges = [sign * self.linear * _MAX_DEVIATIONS + self.square * _MAX_DEVIATIONS**2 for sign in (-1, 1)]
        if self.square < 0 and abs(self.linear) < -2 * self.square * _MAX_DEVIATIONS:
            edges.append(-(self.linear**2) / (4 * self.square))
        return max(edges)


@dataclass(frozen=True, kw_only=True)
class NoSpeechSettings:
    """Thresholds below which nothing is written. They are found by `mu2slam calibrate`.

    Attributes:
        min_level_dbfs: level of the loud frames, in dB relative to full scale.
        bias: of the score; there is speech if `bias` and the contributions of all features together are above 0.
        weights: contributions by name of feature; without weights, only the level counts.
    """

    min_level_dbfs: float = -75.0
    bias: float = 0.0
    weights: Mapping[str, FeatureWeight] = field(default_factory=dict)

    @classmethod
    def from_model(cls, model: Any) -> "NoSpeechSettings":
        """The settings of a model; the default ones if it was not calibrated."""
        return cls.from_dict(find_setting(model, SETTINGS_NAME, default={}))

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "NoSpeechSettings":
        """Settings from the generation configuration.

        Raises:
            ValueError: an unknown or missing entry.
        """
        try:
            weights = {name: FeatureWeight(**weight) for name, weight in stored.get("weights", {}).items()}
            return cls(**{**stored, "weights": weights})
        except TypeError as error:
            raise ValueError(f"{SETTINGS_NAME} of the generation configuration is invalid: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, rounded to six digits."""
        weights = {
            name: {key: float(f"{value:.6g}") for key, value in vars(weight).items()}
            for name, weight in self.weights.items()
        }
        return {"min_level_dbfs": self.min_level_dbfs, "bias": float(f"{self.bias:.6g}"), "weights": weights}

    def score(self, features: Mapping[str, float]) -> float:
        """The score of a recording, above 0 for speech; without weights always above.

        Args:
            features: values by name. For those that are missing, the best value is assumed, so that a score below 0
                is final.
        """
        if not self.weights:
            return 1.0
        total = self.bias
        for name, weight in self.weights.items():
            total += weight(features[name]) if name in features else weight.largest()
        return total

    def no_speech_probability(self, features: Mapping[str, float]) -> float | None:
        """What the score says as a probability, as it was fitted by logistic regression; None without weights."""
        return 1 / (1 + math.exp(self.score(features))) if self.weights else None

    def is_silent(self, level_dbfs: float) -> bool:
        """Whether a recording is too quiet for speech."""
        return level_dbfs < self.min_level_dbfs


def measure_ctc(log_probs: Tensor, blank: int, frames_per_second: float) -> dict[str, float]:
    """How sure CTC is of its tokens.

    Args:
        log_probs: `(N, V)` log posteriors of the real frames.
        blank: id of the blank.
        frames_per_second: rate of the encoder.
    """
    log_probs = log_probs.float()
    best_log_prob, best = log_probs.max(dim=-1)
    speaking = best != blank
    changes = torch.ones_like(speaking)
    changes[1:] = best[1:] != best[:-1]
    confidence = float(best_log_prob[speaking].exp().mean()) if speaking.any() else 0.0
    entropy = -(log_probs.exp() * log_probs.clamp(min=-100)).sum(dim=-1)
    return {
        "ctc_largest": float(1 - log_probs[:, blank].exp().min()),
        "ctc_tokens_per_second": float((speaking & changes).sum()) * frames_per_second / len(best),
        "ctc_confidence": confidence,
        "ctc_entropy": float(entropy[speaking].mean()) if speaking.any() else 3.0,
    }


def measure_agreement(log_probs: Tensor, ids: list[int], blank: int) -> float:
    """Log probability of a text under CTC per frame, relative to that of the best path; about 0 in agreement.

    Args:
        log_probs: `(N, V)` log posteriors of the real frames.
        ids: tokens of the text, without special tokens.
        blank: id of the blank.
    """
    if not ids:
        return _AGREEMENT_RANGE[0]
    text = float(ctc_log_likelihoods(log_probs, [ids], blank)[0])
    best = float(log_probs.double().max(dim=-1).values.sum())
    return float(np.clip((text - best) / len(log_probs), *_AGREEMENT_RANGE))
