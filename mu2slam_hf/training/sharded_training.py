# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training of a sharded model: operations on all weights are collective.

transformers' Trainer accepts models that are already sharded and leaves placement and the reduction of gradients to
them. It cannot resume such models, so their optimizer is saved and loaded here.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel, Seq2SeqTrainer
from transformers.utils import logging

from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.checkpoints import find_weights_file
from mu2slam_hf.training.sharding import (
    OPTIMIZER_FOLDER,
    ShardingSettings,
    bfloat16_policy,
    build_mesh,
    build_whole_model,
    gather_weights,
    load_sharded_optimizer,
    load_weights,
    save_sharded_optimizer,
    shard_model,
    take_over_launch_settings,
)

logger = logging.get_logger(__name__)

SCHEDULER_NAME = "scheduler.pt"


def choose_sharding(model: nn.Module, args: MultitaskTrainingArguments) -> ShardingSettings | None:
    """Sharding settings of the launch configuration or of the arguments; None for a model that is not sharded.

    Raises:
        ValueError: the model or the precision does not support sharding.
    """
    sharding = take_over_launch_settings(args.num_sharding_replicas)
    if sharding is None and args.shard_parameters:
        sharding = ShardingSettings(num_replicas=args.num_sharding_replicas)
    if sharding is None:
        return None
    if args.world_size == 1:
        logger.warning("The model is not sharded, because there is only one process.")
        return None
    if hasattr(model, "peft_config"):
        raise ValueError("Models with adapters cannot be sharded; set training.shard_parameters to false.")
    if args.mixed_precision == "fp16":
        raise ValueError("A sharded model is trained in float32 or bfloat16, not in float16; set training.bf16.")
    return sharding


class ShardingMixin(Seq2SeqTrainer):
    """The part of a trainer that shards its model over the processes, on CPU and GPU, if `sharding` is set.

    Checkpoints have whole weights, which plain `from_pretrained` loads, and the optimizer in parts that any number
    of processes can read.
    """

    args: MultitaskTrainingArguments
    sharding: ShardingSettings | None

    @property
    def is_sharded(self) -> bool:
        """Whether the model is currently sharded."""
        return self.sharding is not None and self.is_distributed_loading_by_transformers

    def whole_model(self) -> PreTrainedModel | None:
        """The whole model on the first process, None on others; every process must call this."""
        if self.is_sharded:
            return build_whole_model(self.model)
        return self.accelerator.unwrap_model(self.model) if self.is_world_process_zero() else None

    def load_whole_weights(self, weights: dict[str, Tensor]) -> None:
        """Replace the weights; every process must call this with all of them.

        Raises:
            ValueError: the model has different weights.
        """
        if self.is_sharded:
            load_weights(self.model, weights)
            return
        result = self.model.load_state_dict(weights, strict=False)
        if result.unexpected_keys:
            raise ValueError(f"State dict mismatch: the model has no weights {result.unexpected_keys[:3]}.")
        self.model.tie_weights()

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        """Shard the model, after the weights of a checkpoint were loaded and before the optimizer is created."""
        if self.sharding is not None and not self.is_sharded:
            settings = self.sharding
            shard_model(
                self.model,
                build_mesh(self.args.device.type, num_replicas=settings.num_replicas),
                mixed_precision=bfloat16_policy() if self.accelerator.mixed_precision == "bf16" else None,
                reshard_after_forward=settings.reshard_after_forward,
                cpu_offload=settings.cpu_offload,
            )
            self.is_distributed_loading_by_transformers = True
        return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)

    @contextlib.contextmanager
    def _defer_fsdp_gradient_reduction(self) -> Iterator[None]:
        """Gradients of all micro-batches but the last are not reduced; with replicas, only within a replica."""
        assert self.sharding is not None
        model: Any = self.model
        defer = model.set_requires_gradient_sync if self.sharding.num_replicas == 1 else model.set_requires_all_reduce
        defer(False)
        try:
            yield
        finally:
            defer(True)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As the parent; the weights of a sharded model are gathered first."""
        if not self.is_sharded:
            super().save_model(output_dir, _internal_call=_internal_call)
            return
        weights = gather_weights(self.model)
        if weights:
            self._save(output_dir, state_dict=weights)
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_sharded:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        save_sharded_optimizer(self.model, _inner(self.optimizer), Path(output_dir) / OPTIMIZER_FOLDER)
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), os.path.join(output_dir, SCHEDULER_NAME))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As the parent.

        Raises:
            ValueError: the checkpoint is from a sharded run and this run is unsharded, or vice versa.
        """
        if checkpoint is None:
            return
        folder = Path(checkpoint) / OPTIMIZER_FOLDER
        if folder.is_dir() != self.is_sharded:
            kind, key = ("a sharded", "true") if folder.is_dir() else ("an unsharded", "false")
            raise ValueError(
                f"{checkpoint} is from {kind} run, whose optimizer this run cannot read. Resume with "
                f"training.shard_parameters={key}, or start a new run with model.init_from set to it."
            )
        if not self.is_sharded:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        load_sharded_optimizer(self.model, _inner(self.optimizer), folder)
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """As the parent for a whole model."""
        if self.is_sharded:
            load_weights(self.model, load_file(find_weights_file(resume_from_checkpoint)))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if self.is_sharded:
            load_weights(self.model, load_file(find_weights_file(self.state.best_model_checkpoint)))
        else:
            super()._load_best_model()


def _inner(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer without accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)
