# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training arguments of the multi-task trainer: those of transformers, and fields for schedules and sharding."""

from dataclasses import dataclass

from transformers import Seq2SeqTrainingArguments

from mu2slam_hf.training.optim import OPTIMIZERS, SCHEDULES


@dataclass
class MultitaskTrainingArguments(Seq2SeqTrainingArguments):
    """`Seq2SeqTrainingArguments` with closed-form schedules and sharding; losses are the objective's.

    Args:
        optimizer: name of the optimizer, one of `mu2slam_hf.training.optim.OPTIMIZERS`.
        schedule: name of the schedule, one of `mu2slam_hf.training.optim.SCHEDULES`; its linear growth takes
            `warmup_steps` updates.
        noam_factor: multiplier of the Noam schedule, which ignores `learning_rate`.
        min_learning_rate_ratio: where cosine and linear schedules end, as a share of the peak.
        max_skipped_updates: number of updates with a NaN or infinite loss or gradient that are skipped, with the ids
            of their records in the log; one more is an error.
        shard_parameters: whether to split parameters, gradients and optimizer states over the processes (FSDP2).
        num_sharding_replicas: number of whole copies of a sharded model, for example the number of machines.
        language_model_factor: factor of the learning rate of the part `language_model` of a model.
        head_learning_rate_ratio: the same for the parameters outside the base model.
        early_stopping_patience: number of evaluations without an improvement of `metric_for_best_model` after which
            training ends; None: never.
    """

    optimizer: str = "adamw"
    schedule: str = "warmup_cosine"
    noam_factor: float = 1.0
    min_learning_rate_ratio: float = 0.0
    max_skipped_updates: int = 5
    shard_parameters: bool = False
    num_sharding_replicas: int = 1
    language_model_factor: float = 1.0
    head_learning_rate_ratio: float = 1.0
    early_stopping_patience: int | None = None

    @property
    def place(self) -> dict[str, int]:
        """Arguments of a batch sampler: rank, number of ranks and micro-batches per update."""
        return {
            "rank": self.process_index,
            "num_ranks": self.world_size,
            "batches_per_step": self.gradient_accumulation_steps,
        }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("schedule", SCHEDULES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"Unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}.")
        if self.label_smoothing_factor != 0:
            raise ValueError("label_smoothing_factor has no effect here: label smoothing belongs to the objective.")
        if self.max_steps <= 0:
            raise ValueError(
                "Set max_steps: batches come from an endless sampler, so the length of a run is counted in updates, "
                f"not epochs; got max_steps={self.max_steps}."
            )
        if self.early_stopping_patience is not None and self.metric_for_best_model is None:
            raise ValueError("early_stopping_patience requires metric_for_best_model.")
        # The sampler restores its own state: reading data to skip it would be slow, and wrong after a change of phase.
        self.ignore_data_skip = True
