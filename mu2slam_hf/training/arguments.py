# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training arguments of the multi-task trainer: those of transformers and what our losses and schedules need."""

from dataclasses import dataclass, field
from typing import Any

from transformers import Seq2SeqTrainingArguments

from mu2slam_hf.training.optim import OPTIMIZERS, SCHEDULES


@dataclass
class MultitaskTrainingArguments(Seq2SeqTrainingArguments):
    """`Seq2SeqTrainingArguments` with named loss weights and closed-form schedules.

    Args:
        loss_weights: coefficient of each named loss (`asr_decoder`, `ctc`, ...). A loss that is not named here
            weighs 1; 0 switches it off, and it is not computed.
        label_smoothing: share of the target mass spread over the text rows, for the decoder losses.
        optimizer: one of `mu2slam_hf.training.optim.OPTIMIZERS`.
        schedule: one of `mu2slam_hf.training.optim.SCHEDULES`.
        num_warmup_steps: updates of linear growth.
        noam_factor: multiplier of the Noam schedule, which ignores `learning_rate`.
        min_learning_rate_ratio: floor of the schedule as a share of the peak.
        check_finite_loss: stop with the record ids at the first NaN or infinite loss.
        average_last: number of newest checkpoints whose weights are averaged into the result; 0 or 1 for none.
        shard_parameters: split parameters, gradients and optimiser states over the processes (FSDP2).
        num_sharding_replicas: whole copies of a sharded model, the number of machines for example.
    """

    loss_weights: dict[str, Any] | None = field(default=None)
    label_smoothing: float = 0.0
    optimizer: str = "adamw"
    schedule: str = "warmup_cosine"
    num_warmup_steps: int = 0
    noam_factor: float = 1.0
    min_learning_rate_ratio: float = 0.0
    check_finite_loss: bool = True
    average_last: int = 0
    shard_parameters: bool = False
    num_sharding_replicas: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loss_weights = dict(self.loss_weights or {})
        if self.schedule not in SCHEDULES:
            raise ValueError(f"Unknown schedule {self.schedule!r}; known: {', '.join(SCHEDULES)}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"Unknown optimizer {self.optimizer!r}; known: {', '.join(OPTIMIZERS)}.")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"label_smoothing must be in [0, 1); got {self.label_smoothing}.")
        if self.label_smoothing_factor != 0:
            raise ValueError("Use label_smoothing: label_smoothing_factor would smooth over the speech rows too.")
        if self.max_steps <= 0:
            raise ValueError(
                "Set max_steps: batches come from an endless sampler, so the length of a run is counted in updates, "
                f"not epochs; got max_steps={self.max_steps}."
            )
        # The sampler restores its own state: reading data to skip it would be slow, and wrong after a change of phase.
        self.ignore_data_skip = True
        # The trainer touches what a batch leaves out; searching the graph at every step would cost time, and count
        # those parameters twice.
        self.ddp_find_unused_parameters = False
        if self.average_last > 1 and self.save_total_limit is not None and self.save_total_limit < self.average_last:
            raise ValueError(
                f"average_last={self.average_last} needs that many checkpoints, but save_total_limit="
                f"{self.save_total_limit} deletes them; raise save_total_limit."
            )
