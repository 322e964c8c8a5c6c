# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Callbacks for the quantiser of pre-training: temperature of the Gumbel softmax, freezing, and usage statistics.

Shapes: M frames, G codebooks, K entries of each.
"""

from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState
from transformers.utils import logging

from mu2slam_hf.models.modules_learned_quantization import LearnedQuantizer, QuantizerOutput, anneal_temperature
from mu2slam_hf.models.modules_quantization import CodebookHealth, RandomProjectionQuantizer, compute_codebook_health

logger = logging.get_logger(__name__)


def find_quantizer(model: nn.Module) -> LearnedQuantizer | RandomProjectionQuantizer:
    """The quantiser of a model that is pre-trained with it; the model may be wrapped.

    Raises:
        ValueError: the model has none.
    """
    for module in model.modules():
        if isinstance(module, (LearnedQuantizer, RandomProjectionQuantizer)):
            return module
    raise ValueError(f"{type(model).__name__} has no quantiser of its own")


def has_temperature(quantizer: nn.Module) -> TypeGuard[LearnedQuantizer]:
    """Whether a quantiser samples its entries, at a temperature that falls during training."""
    return isinstance(quantizer, LearnedQuantizer) and quantizer.method == "gumbel"


@dataclass(kw_only=True)
class QuantizerConfig:
    """Training of the learned quantiser; its architecture is defined in the configuration of the model.

    Attributes:
        max_gumbel_temperature: temperature of the Gumbel softmax at the first update. w2v-BERT: 2.
        min_gumbel_temperature: minimum temperature. w2v-BERT: 0.1.
        gumbel_temperature_decay: factor per update. w2v-BERT: 0.999995, for several hundred thousand updates; short
            runs need a smaller one.
        freeze_after: number of updates after which codebooks and front end are frozen, so that codes of frames no
            longer change, as in BEST-RQ and HuBERT; None means never. Choice: short runs need it, because codes that
            keep changing cannot be predicted.
        min_usage: minimum share of the entries used between two logs; below it a codebook has collapsed.
        min_perplexity_ratio: minimum perplexity relative to the number of entries, likewise.

    Raises:
        ValueError: invalid temperatures, or a negative `freeze_after`.
    """

    max_gumbel_temperature: float = 2.0
    min_gumbel_temperature: float = 0.1
    gumbel_temperature_decay: float = 0.999995
    freeze_after: int | None = None
    min_usage: float = 0.25
    min_perplexity_ratio: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.min_gumbel_temperature <= self.max_gumbel_temperature:
            raise ValueError(
                "min_gumbel_temperature must be between 0 and max_gumbel_temperature "
                f"({self.max_gumbel_temperature}), got {self.min_gumbel_temperature}"
            )
        if not 0 < self.gumbel_temperature_decay <= 1:
            raise ValueError(f"gumbel_temperature_decay must be between 0 and 1, got {self.gumbel_temperature_decay}")
        if self.freeze_after is not None and self.freeze_after < 0:
            raise ValueError(f"freeze_after must not be negative, got {self.freeze_after}")


class QuantizerSchedule(TrainerCallback):
    """Sets the temperature and freezes the quantiser, as a function of the number of the update.

    `nearest` has no temperature. Freezing sets `is_frozen` of the quantiser, which stops its statistics; the training
    loop calls `drop_frozen_gradients` after every backward pass. Gradients are dropped instead of changing
    `requires_grad`, which must not change in distributed training, and before clipping, so that they do not affect the
    norm of the others.

    Args:
        config: temperatures, and the update at which the quantiser is frozen.
    """

    def __init__(self, config: QuantizerConfig) -> None:
        self.config = config

    def on_step_begin(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Set temperature and `is_frozen`."""
        config, quantizer = self.config, find_quantizer(model)
        if isinstance(quantizer, RandomProjectionQuantizer):
            return  # nothing of it is trained
        if has_temperature(quantizer):
            bounds = config.max_gumbel_temperature, config.min_gumbel_temperature
            quantizer.set_temperature(anneal_temperature(state.global_step, *bounds, config.gumbel_temperature_decay))
        if config.freeze_after is not None:
            quantizer.is_frozen = state.global_step >= config.freeze_after


class CodebookWatch(TrainerCallback):
    """Counts the use of entries, adds statistics to the logs, and warns once if a codebook collapses.

    `codebook_usage` is the share of entries used since the last log, `codebook_perplexity` the perplexity of the ids;
    both are means over codebooks. They are logged after at least `frames_per_entry` frames per entry, because fewer
    frames cannot show that entries are dead. `gumbel_temperature` is part of every log.

    Args:
        config: thresholds of a collapse.
        frames_per_entry: see above.
        grace_updates: number of updates without warnings at the beginning.
    """

    def __init__(self, config: QuantizerConfig, frames_per_entry: int = 4, grace_updates: int = 100) -> None:
        self.config = config
        self.frames_per_entry, self.grace_updates = frames_per_entry, grace_updates
        self.warned = False
        self._counts: Tensor | None = None
        self._hook: Any = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Start counting."""
        if self._hook is None:
            self._hook = find_quantizer(model).register_forward_hook(self._count)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Stop counting."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    @torch.no_grad()
    def _count(self, quantizer: nn.Module, inputs: Any, output: QuantizerOutput | Tensor) -> None:
        if not quantizer.training:
            return
        assert isinstance(quantizer, (LearnedQuantizer, RandomProjectionQuantizer))
        # (M,) or (M, G) -> (G, M)
        ids = output if isinstance(output, Tensor) else output.ids
        ids = ids.reshape(-1, quantizer.num_groups).T
        if self._counts is None:
            self._counts = ids.new_zeros(quantizer.num_groups, quantizer.num_codevectors)
        self._counts.scatter_add_(1, ids, torch.ones_like(ids))

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any, model: Any, **kwargs: Any) -> None:
        """Add the statistics to logs of training, not to those of evaluation."""
        if "loss" not in logs:
            return
        quantizer = find_quantizer(model)
        if has_temperature(quantizer):
            logs["gumbel_temperature"] = float(quantizer.temperature)
        if self._counts is None:
            return
        counts = self._counts.clone()
        if args.world_size > 1:
            torch.distributed.all_reduce(counts)
        if int(counts[0].sum()) < self.frames_per_entry * quantizer.num_codevectors:
            return
        self._counts.zero_()
        healths = [compute_codebook_health(row) for row in counts.cpu()]
        logs["codebook_usage"] = sum(health.usage for health in healths) / len(healths)
        logs["codebook_perplexity"] = sum(health.perplexity for health in healths) / len(healths)
        self._judge(min(healths, key=lambda health: health.perplexity), state.global_step)

    def _judge(self, health: CodebookHealth, step: int) -> None:
        min_perplexity = self.config.min_perplexity_ratio * health.num_codevectors
        collapsed = health.usage < self.config.min_usage or health.perplexity < min_perplexity
        if self.warned or not collapsed or step < self.grace_updates:
            return
        self.warned = True
        logger.warning(
            f"The codebook has collapsed: at update {step} only {100 * health.usage:.0f} % of its "
            f"{health.num_codevectors} entries are used (perplexity {health.perplexity:.0f} over {health.num_ids} "
            "frames). Increase the weight of the diversity loss, decrease the learning rate, decrease the Gumbel "
            "temperature more slowly, or use fewer entries."
        )


def drop_frozen_gradients(model: nn.Module) -> None:
    """Drop the gradients of front end and quantiser if the quantiser is frozen, so that the optimiser skips them."""
    quantizer = find_quantizer(model)
    if isinstance(quantizer, RandomProjectionQuantizer) or not quantizer.is_frozen:
        return
    for name, parameter in model.named_parameters():
        if {"quantizer", "subsampling"} & set(name.split(".")):
            parameter.grad = None
