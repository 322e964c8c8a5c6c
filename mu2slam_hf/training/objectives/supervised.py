# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objective of supervised training: the decoder loss of each task, CTC, and the source language.

Legend: B rows of the encoder, L decoder positions, V vocabulary rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mu2slam_hf.data.examples.example import TASK_NAMES
from mu2slam_hf.models.modules_lengths import length_mask
from mu2slam_hf.models.modules_losses import (
    IGNORE_INDEX,
    count_alignable,
    cross_entropy_by_position,
    cross_entropy_sum,
    ctc_sum,
    sum_by_kind,
)
from mu2slam_hf.training.decoder_noise import DecoderNoise, DecoderNoiseConfig
from mu2slam_hf.training.objectives.objective import Objective, parts_of

DECODER_LOSSES = tuple(f"{task}_decoder" for task in TASK_NAMES)


@dataclass(kw_only=True)
class SupervisedObjectiveConfig:
    """Coefficients of the named losses; each loss is a mean over its own targets.

    Attributes:
        asr_decoder, ast_decoder, mt_decoder: decoder cross entropy of each task. Paper: 0.3 for speech to text in
            pre-training, none for fine-tuning. Choice: 1.
        ctc: CTC on the transcript. Choice, not in the paper: 1; it aligns speech and text first.
        language: the head that predicts the source language. Choice: 0.1.
        label_smoothing: label smoothing of the decoder losses, over text rows.

    Raises:
        ValueError: label smoothing outside [0, 1).
    """

    asr_decoder: float = 1.0
    ast_decoder: float = 1.0
    mt_decoder: float = 1.0
    ctc: float = 1.0
    language: float = 0.1
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")


class SupervisedObjective(Objective):
    """Losses of `Mu2SLAMForConditionalGeneration` on batches of `SupervisedCollator`.

    A batch of speech and text has a forward pass for each part; all parts are in one loss and one backward pass. So an
    update has fixed shares of the tasks, and processes stay synchronized whatever the tasks of a batch are.

    Choice: smoothing excludes rows that text never contains (the speech codebook); otherwise the decoder would learn
    to emit speech ids in the middle of a sentence.

    Args:
        model: model to train, or a peft wrapper of it.
        config: weights and label smoothing.
        decoder_noise: noise on the decoder inputs in training; None for none. A batch may have its own settings.
        seed: seed of that noise.
    """

    names = (*DECODER_LOSSES, "ctc", "language")
    # Without labels the model computes no loss of its own.
    left_out = (*Objective.left_out, "labels", "task_ids", "ctc_labels", "source_language_labels")
    text_masks = ("decoder_sequence_ids",)
    # A text batch uses neither the convolutional front end nor the CTC head.
    unused_parameters = "zero_gradient"

    def __init__(
        self,
        model: nn.Module,
        config: SupervisedObjectiveConfig | None = None,
        *,
        decoder_noise: DecoderNoiseConfig | None = None,
        seed: int = 0,
    ) -> None:
        config = config or SupervisedObjectiveConfig()
        super().__init__(model, config)
        self.label_smoothing = config.label_smoothing
        self.decoder_noise = DecoderNoise(self.model_config, decoder_noise, seed=seed)
        rows = torch.zeros(self.model_config.vocab_size, dtype=torch.bool)
        rows[self.model_config.text_token_offset :] = True
        rows[self.model_config.eos_token_id] = True
        self.smoothing_rows = rows

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> Any:
        """Run the model, in training on noisy decoder inputs; outputs by part for a batch of speech and text."""
        if parts := parts_of(batch):
            return {name: self.forward(model, part, step) for name, part in parts.items()}
        inputs = self.inputs_of(batch)
        if model.training:
            inputs["decoder_input_ids"] = self.decoder_noise(
                model,
                inputs["decoder_input_ids"],
                step=step,
                record_ids=batch.get("record_ids", ()),
                settings=batch.get("decoder_noise"),
            )
        return model(**inputs, use_cache=False)

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Numbers of targets of each decoder task, CTC labels that can be aligned, and utterances with a language."""
        if parts := parts_of(batch):
            return _add_by_name(map(self.count, parts.values()))
        counts: dict[str, Tensor] = {}
        labels, ctc_labels = batch.get("labels"), batch.get("ctc_labels")
        if labels is not None:
            counts.update(sum_by_task((labels != IGNORE_INDEX).long(), batch["task_ids"]))
        if ctc_labels is not None:
            counts["ctc"] = count_alignable(ctc_labels, self.count_frames(batch))
        if (language_labels := batch.get("source_language_labels")) is not None:
            counts["language"] = (language_labels != IGNORE_INDEX).sum()
        return counts

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Sums of the losses that have labels in the batch and a weight."""
        if parts := parts_of(batch):
            return _add_by_name(self.sum(outputs[name], part, is_training=is_training) for name, part in parts.items())
        sums: dict[str, Tensor] = {}
        weights = self.weights_of(batch)
        labels, ctc_labels = batch.get("labels"), batch.get("ctc_labels")
        if labels is not None and any(weights[name] for name in DECODER_LOSSES):
            smoothing = self.label_smoothing if is_training else 0.0
            losses = cross_entropy_by_position(outputs.logits, labels, smoothing, self.smoothing_rows)
            sums.update(sum_by_task(losses, batch["task_ids"]))
        if ctc_labels is not None and weights["ctc"]:
            frames = length_mask(self.count_frames(batch), outputs.ctc_logits.shape[1])
            sums["ctc"] = ctc_sum(outputs.ctc_logits, frames, ctc_labels)[0]
        if batch.get("source_language_labels") is not None and weights["language"]:
            sums["language"] = cross_entropy_sum(outputs.language_logits, batch["source_language_labels"])[0]
        return sums

    def to(self, device: torch.device) -> None:
        """Move the mask of rows that take part in smoothing to a device."""
        self.smoothing_rows = self.smoothing_rows.to(device)


def _add_by_name(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    total: dict[str, Tensor] = {}
    for values in parts:
        for name, value in values.items():
            total[name] = total[name] + value if name in total else value
    return total


def sum_by_task(values: Tensor, task_ids: Tensor) -> dict[str, Tensor]:
    """Sums of `values` `(B, L)` by loss; `task_ids` `(B,)`, or `(B, L)` with -1 for positions without a task."""
    by_position = task_ids[:, None].expand_as(values) if task_ids.ndim == 1 else task_ids
    # The value of a position without a task is 0, so it may be added to the first one.
    sums = sum_by_kind(values.reshape(-1), by_position.clamp_min(0).reshape(-1), len(TASK_NAMES))
    return dict(zip(DECODER_LOSSES, sums.unbind(), strict=True))
