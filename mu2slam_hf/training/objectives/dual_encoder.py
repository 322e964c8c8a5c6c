# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objective of dual encoders: in-batch softmax in both directions, and a spread-out term of each side.

Shapes: B rows of this process, n of them pairs, N pairs of all processes, P width of an embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.pair_losses import gather_rows, in_batch_softmax_sums, spread_out_loss

logger = logging.get_logger(__name__)


@dataclass(kw_only=True)
class DualEncoderObjectiveConfig:
    """Coefficients and settings of the losses. Paper: PaLM 2 DE, section 2.2: a plain sum of all of them.

    Attributes:
        source_to_target: softmax of each source over all targets.
        target_to_source: softmax of each target over all sources.
        spread_out_source: spread-out term of the sources.
        spread_out_target: spread-out term of the targets.
        scale: factor of the similarities. Choice: 1, the paper names none; about 20 for normalised embeddings.
        margin: subtracted from the similarity of each pair. Choice: 0; Yang et al. 2019 have 0.3.
        max_tokens_per_chunk: positions that are computed at a time; the batch of the softmax stays whole. None: all.
    """

    source_to_target: float = 1.0
    target_to_source: float = 1.0
    spread_out_source: float = 1.0
    spread_out_target: float = 1.0
    scale: float = 1.0
    margin: float = 0.0
    max_tokens_per_chunk: int | None = None

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale}")
        if self.max_tokens_per_chunk is not None and self.max_tokens_per_chunk < 1:
            raise ValueError(f"max_tokens_per_chunk must be at least 1, got {self.max_tokens_per_chunk}")


class DualEncoderObjective(Objective):
    """Losses of `SpeechTextDualEncoderModel` on batches of `PairCollator`.

    Negatives are the other pairs of the batch on all processes. Each process computes the rows of its own pairs over
    all columns, and returns sums, which the trainer divides by the count of the whole update. The spread-out terms are
    no sums over pairs: each process computes them of all rows and weighs them by its own count.
    """

    names = ("source_to_target", "target_to_source", "spread_out_source", "spread_out_target")
    # Every row has a prefix of text, and ids of text and audio go through both tables.
    unused_parameters = "none"

    def __init__(self, model: nn.Module, config: DualEncoderObjectiveConfig | None = None) -> None:
        self.config = config or DualEncoderObjectiveConfig()
        super().__init__(model, self.config)
        self._is_first = True

    def inputs_of(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Ids and masks of both sides, and the size of chunks."""
        names = ("input_ids", "attention_mask", "target_ids", "target_attention_mask")
        return {name: batch[name] for name in names} | {"max_tokens_per_chunk": self.config.max_tokens_per_chunk}

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Pairs of the batch, for every loss."""
        return dict.fromkeys(self.names, batch["is_pair"].sum())

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Sums over the pairs of this process. Development batches have their own negatives only."""
        is_pair = batch["is_pair"]
        sources, targets = outputs.pooler_output[is_pair], outputs.target_embeds[is_pair]
        keys = batch["target_keys"][is_pair]
        first, all_sources, all_targets, all_keys = 0, sources, targets, keys
        if is_training:
            (all_sources, first), (all_targets, _) = gather_rows(sources), gather_rows(targets)
            all_keys = gather_rows(keys)[0]
        equal = keys[:, None] == all_keys[None]
        options: dict[str, Any] = {"scale": self.config.scale, "margin": self.config.margin, "equal": equal}
        if is_training and self._is_first:
            self._report_logits(all_sources, all_targets)
        every = all_keys[:, None] == all_keys[None]
        return {
            "source_to_target": in_batch_softmax_sums(sources, all_targets, first, **options).sum(),
            "target_to_source": in_batch_softmax_sums(targets, all_sources, first, **options).sum(),
            "spread_out_source": spread_out_loss(all_sources, every) * len(sources),
            "spread_out_target": spread_out_loss(all_targets, every) * len(targets),
        }

    @torch.no_grad()
    def _report_logits(self, sources: Tensor, targets: Tensor) -> None:
        """Log the deviation of the logits of the first update: far from 1, the softmax learns slowly or not at all."""
        self._is_first = False
        if len(sources) > 1:
            deviation = float((self.config.scale * sources @ targets.T).std())
            log = logger.info if 0.05 < deviation < 20 else logger.warning
            log(
                f"The logits of the first update have a deviation of {deviation:.3g}; it should be of order 1 (see "
                "objective.scale and model.normalize)."
            )

    def count_speech_seconds(self, batch: Mapping[str, Any]) -> float:
        """Seconds of speech: audio ids at 25 Hz."""
        return float((batch["input_ids"] >= self.model_config.audio_token_offset).sum()) / 25.0

    def count_text_tokens(self, batch: Mapping[str, Any]) -> int:
        """Ids of text of both sides, with the prefixes."""
        is_text = (batch["input_ids"] < self.model_config.audio_token_offset) & (batch["attention_mask"] > 0)
        return int(is_text.sum() + batch["target_attention_mask"].sum())

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """As in the base class, over the positions of both sides."""
        positions = batch["attention_mask"].numel() + batch["target_attention_mask"].numel()
        return int(6 * self.num_parameters * positions)
