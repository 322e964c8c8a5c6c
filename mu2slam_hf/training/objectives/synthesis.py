# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objective of the speech synthesizer: distance of log-mel frames, and spectral distance of a trained vocoder.

Legend: B rows, N ids, T log-mel frames, M mel bins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mu2slam_hf.models.configuration_speech_synthesizer import FRAMES_PER_ID, SAMPLES_PER_ID
from mu2slam_hf.models.modules_vocoders import spectral_distance_sum
from mu2slam_hf.training.objectives.objective import Objective


@dataclass(kw_only=True)
class SynthesisObjectiveConfig:
    """Weights of the losses; each is a mean over the log-mel frames of all crops.

    Attributes:
        mel: L1 distance of log-mel frames, in the scale of the feature extractor, mean over the bins.
        stft: distance of the samples of a trained vocoder from the recording in short-time spectra of three
            resolutions, see `spectral_distance_sum`. The vocoder reads the log-mel frames of the recording. It must be
            above 0 for the vocoders istft and hifigan, and 0 for griffin_lim, which has no weights.
    """

    mel: float = 1.0
    stft: float = 0.0


class SynthesisObjective(Objective):
    """Losses of `SpeechSynthesizerModel` on batches of `SynthesisCollator`.

    `mel = 1/n sum_t 1/M sum_m |y(t, m) - p(t, m)|`, n the number of log-mel frames of all crops, which is also the
    count of `stft`.

    Args:
        model: model to train.
        config: weights of the losses.
    """

    names = ("mel", "stft")
    left_out = (*Objective.left_out, "waveforms")

    def __init__(self, model: nn.Module, config: SynthesisObjectiveConfig | None = None) -> None:
        super().__init__(model, config or SynthesisObjectiveConfig())
        self.has_vocoder = self.model_config.vocoder != "griffin_lim"

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Log-mel frames of the crops."""
        frames = batch["attention_mask"].sum() * FRAMES_PER_ID
        return {"mel": frames, "stft": frames * self.has_vocoder}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Both distances, summed over frames."""
        distances = (outputs.log_mel - batch["labels"]).abs().mean(dim=-1)
        sums = {"mel": distances.masked_fill(~outputs.frame_mask, 0.0).sum()}
        if outputs.waveforms is not None:
            hop = SAMPLES_PER_ID // FRAMES_PER_ID
            sums["stft"] = spectral_distance_sum(outputs.waveforms, batch["waveforms"], outputs.frame_mask, hop)
        return sums

    def count_frames(self, batch: Mapping[str, Any]) -> Tensor:
        """`(B,)` int64 ids of each crop."""
        frames: Tensor = batch["attention_mask"].sum(dim=1)
        return frames

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """Roughly 6 per parameter and id."""
        return int(6 * self.num_parameters * batch["input_ids"].numel())

    def count_speech_seconds(self, batch: Mapping[str, Any]) -> float:
        """Seconds of speech in a batch, without padding."""
        return float(batch["attention_mask"].sum()) * SAMPLES_PER_ID / 16000

    def count_text_tokens(self, batch: Mapping[str, Any]) -> int:
        """None: the ids are those of speech."""
        return 0
