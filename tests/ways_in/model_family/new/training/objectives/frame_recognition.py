# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of `FrameRecognizer`: CTC on the transcript."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mu2slam_hf.models.modules_lengths import length_mask
from mu2slam_hf.models.modules_losses import count_alignable, ctc_sum
from mu2slam_hf.training.objectives.objective import Objective


class FrameRecognitionObjective(Objective):
    """CTC per token of the transcripts that can be aligned."""

    names = ("ctc",)
    left_out = (*Objective.left_out, "labels", "source_language_labels")

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tokens of the transcripts that can be aligned."""
        return {"ctc": count_alignable(batch["labels"], self.count_frames(batch))}

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """CTC summed over all utterances."""
        frames = length_mask(self.count_frames(batch), outputs.logits.shape[1])
        return {"ctc": ctc_sum(outputs.logits, frames, batch["labels"], self.model_config.pad_token_id)[0]}
