# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""How the time of an adaptation is divided: what every run costs, and what is left for updates."""

from dataclasses import dataclass

# Share of the time of training that is kept for loading and for variations in speed.
_RESERVE = 0.04
# Model card, pages, loading and copying of the model.
_CARD_SECONDS = 5.0
# Choice: calibration has at most this share of the time, and at least so many clips.
_CALIBRATION_SHARE = 0.08
_FEWEST_CALIBRATION_CLIPS = 80
MOST_CALIBRATION_CLIPS = 400
"""Number of clips of calibration without a limit of time."""


@dataclass(frozen=True, kw_only=True)
class ClosingPace:
    """Measured costs of what follows training.

    Attributes:
        score_seconds: of the scores on the development recordings.
        clip_seconds: of one clip of calibration.
    """

    score_seconds: float
    clip_seconds: float


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """The time of an adaptation.

    Attributes:
        total_seconds: all of it.
        spent_seconds: what is gone: reading, scores of the start, measuring the speed.
        closing: what follows training.
        pretraining_share: share of the time for updates that pre-training has.
    """

    total_seconds: float
    spent_seconds: float
    closing: ClosingPace
    pretraining_share: float = 0.0

    @property
    def calibration_clips(self) -> int:
        """Number of clips of calibration."""
        wanted = _CALIBRATION_SHARE * self.total_seconds / max(self.closing.clip_seconds, 1e-9)
        return int(min(max(wanted, _FEWEST_CALIBRATION_CLIPS), MOST_CALIBRATION_CLIPS))

    @property
    def closing_seconds(self) -> float:
        """Of everything after training."""
        calibration = self.calibration_clips * self.closing.clip_seconds
        return self.closing.score_seconds + calibration + _CARD_SECONDS

    @property
    def fixed_seconds(self) -> float:
        """Of everything but updates and evaluations."""
        return self.spent_seconds + self.closing_seconds

    @property
    def update_seconds(self) -> float:
        """For pre-training, updates and evaluations."""
        return max(0.0, (self.total_seconds - self.fixed_seconds) * (1 - _RESERVE))

    @property
    def finetuning_seconds(self) -> float:
        """For updates of fine-tuning and evaluations."""
        return self.update_seconds * (1 - self.pretraining_share)

    def total_for(self, finetuning_seconds: float) -> float:
        """Time that leaves so many seconds for updates of fine-tuning and evaluations."""
        return self.fixed_seconds + finetuning_seconds / (1 - _RESERVE) / (1 - self.pretraining_share)
