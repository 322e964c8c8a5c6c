# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-training of mSLAM: seven losses on mixed batches of speech, text and pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import TrainerCallback

from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modules_losses import IGNORE_INDEX, count_alignable
from mu2slam_hf.quantization.quantizer_callbacks import (
    CodebookWatch,
    QuantizerConfig,
    QuantizerSchedule,
    drop_frozen_gradients,
)
from mu2slam_hf.training.loss_report import LossTable
from mu2slam_hf.training.objectives.objective import Objective


@dataclass(kw_only=True)
class MSLAMObjectiveConfig:
    """Coefficients of the seven losses; each loss is a mean over its own targets in the whole update.

    Paper: mSLAM weighs speech 1.0, text 0.3 and pairs (TLM and CTC) 0.03; w2v-BERT weighs diversity 0.1 of the
    contrastive loss.

    Attributes:
        contrastive: identification of the code of a masked frame among others, at the end of the speech layers.
        diversity: uniform use of all codes.
        speech_mlm: prediction of the codes of masked frames, at the last layer.
        text_mlm: prediction of masked tokens of unpaired texts.
        tlm_speech: prediction of the codes of masked frames, given the transcript.
        tlm_text: prediction of masked tokens of the transcript, given the speech.
        ctc: the transcript from the speech.
    """

    contrastive: float = 1.0
    diversity: float = 0.1
    speech_mlm: float = 1.0
    text_mlm: float = 0.3
    tlm_speech: float = 0.03
    tlm_text: float = 0.03
    ctc: float = 0.03


class MSLAMObjective(Objective):
    """Losses of `MSLAMForPreTraining` on batches of `MSLAMCollator`; the model sums them itself.

    The temperature of a Gumbel quantizer is set before every update, and logs contain the use of its codebook (see
    `quantizer_callbacks`); a collapse is logged once as a warning.

    Args:
        model: model to train; configured so that every parameter takes part in every batch.
        config: weights of the losses.
        quantizer: schedule of the temperature, threshold of the warning about a collapse, and the update at which the
            codebook is frozen.
    """

    names: ClassVar[tuple[str, ...]] = MSLAM_LOSSES
    padded = MappingProxyType({"speech": "attention_mask", "text": "text_attention_mask"})
    text_masks = ("text_attention_mask",)
    tasks = MappingProxyType(
        {
            "contrastive": "speech",
            "diversity": "speech",
            "speech_mlm": "speech",
            "text_mlm": "text",
            "tlm_speech": "asr",
            "tlm_text": "asr",
            "ctc": "asr",
        }
    )
    table = LossTable(columns=MSLAM_LOSSES, rows={"": MSLAM_LOSSES})
    logs_counts = True

    def __init__(
        self,
        model: nn.Module,
        config: MSLAMObjectiveConfig | None = None,
        *,
        quantizer: QuantizerConfig | None = None,
    ) -> None:
        super().__init__(model, config or MSLAMObjectiveConfig())
        self.quantizer = quantizer or QuantizerConfig()
        model_config: Any = model.config
        self._learns_codes = not model_config.has_random_codes

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The counts of `MSLAMForPreTraining`, before it has run."""
        frames, tokens = batch["mask_time_indices"].sum(dim=1), (batch["text_labels"] != IGNORE_INDEX).sum(dim=1)
        frames_in_pairs, tokens_in_pairs = (
            frames[batch["pair_speech_rows"]].sum(),
            tokens[batch["pair_text_rows"]].sum(),
        )
        frames_alone = frames.sum() - frames_in_pairs
        return {
            "contrastive": (batch["negative_frames"] >= 0).any(dim=-1).sum(),
            "diversity": frames_alone * self._learns_codes,
            "speech_mlm": frames_alone,
            "text_mlm": tokens.sum() - tokens_in_pairs,
            "tlm_speech": frames_in_pairs,
            "tlm_text": tokens_in_pairs,
            "ctc": count_alignable(batch["ctc_labels"], self.count_frames(batch)),
        }

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """Roughly 6 per parameter and frame or token. The shared layers process frames of pairs twice."""
        return 6 * self.num_parameters * (batch["mask_time_indices"].numel() + batch["text_ids"].numel())

    def callbacks(self) -> list[TrainerCallback]:
        """The callbacks of the quantizer."""
        return [QuantizerSchedule(self.quantizer), CodebookWatch(self.quantizer)]

    def after_backward(self, model: nn.Module) -> None:
        """Remove the gradients of frozen parameters."""
        if self.quantizer.freeze_after is not None:
            drop_frozen_gradients(model)
