# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer of mSLAM: mixed batches of speech, text and pairs, seven named losses, a learned codebook.

Legend: K losses.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from mu2slam_hf.quantization.quantizer_callbacks import (
    CodebookWatch,
    GumbelAnnealing,
    QuantizerFreezing,
    add_quantizer_callbacks,
    drop_frozen_gradients,
)
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.model_loss_trainer import ModelLossTrainer
from mu2slam_hf.training.objectives import MSLAM_LOSS_TABLE, count_mslam_targets

_TASK_OF_LOSS = {"contrastive": "speech", "diversity": "speech", "speech_mlm": "speech", "text_mlm": "text"}


class MSLAMTrainer(ModelLossTrainer):
    """Trains `MSLAMForPreTraining` on batches of `MSLAMCollator`.

    The temperature of a Gumbel quantiser is set before every update, and logs tell how its codebook is used (see
    `quantizer_callbacks`); a collapse is warned of once.

    Args:
        model: `MSLAMForPreTraining`.
        args: `loss_weights` may name any of the seven losses.
        annealing: course of the temperature; None for that of w2v-BERT.
        watch: when a codebook is said to have collapsed; None for the defaults.
        freezing: from when on codes are fixed targets; None: never.
        kwargs: as in `MultitaskTrainer`, without `table`.
    """

    loss_table = MSLAM_LOSS_TABLE
    padded = MappingProxyType({"speech": "attention_mask", "text": "text_attention_mask"})

    def __init__(
        self,
        model: nn.Module,
        args: MultitaskTrainingArguments,
        *,
        annealing: GumbelAnnealing | None = None,
        watch: CodebookWatch | None = None,
        freezing: QuantizerFreezing | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, args, **kwargs)
        self._may_freeze = freezing is not None
        add_quantizer_callbacks(self, annealing or GumbelAnnealing(), watch or CodebookWatch(), freezing)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One micro-batch forward and backward; what is frozen has no gradient afterwards."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._may_freeze:
            drop_frozen_gradients(model)
        return loss

    @staticmethod
    def tasks_of_loss(name: str) -> tuple[str, ...]:
        """`asr` for TLM and CTC."""
        return (_TASK_OF_LOSS.get(name, "asr"),)

    def forward_batch(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        """Run the model, which computes all losses itself."""
        return model(**{key: value for key, value in batch.items() if key != "record_ids"})

    def count_batch(self, batch: Mapping[str, Any]) -> Tensor:
        """`(K,)` float32 numbers of targets of one micro-batch, on the CPU."""
        return count_mslam_targets(batch, self.count_frames(batch))

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Rough count: 6 per parameter, and frame or token. Frames of pairs go through the shared layers twice."""
        return 6 * self._num_parameters * (inputs["mask_time_indices"].numel() + inputs["text_ids"].numel())
