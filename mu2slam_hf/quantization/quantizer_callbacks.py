# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run does with a learned quantiser: cools its Gumbel softmax, freezes it, and watches how it is used.

Shapes: M frames, G codebooks, K entries of each.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState
from transformers.utils import logging

from mu2slam_hf.models.modules_learned_quantization import LearnedQuantizer, QuantizerOutput, anneal_temperature
from mu2slam_hf.models.modules_quantization import CodebookHealth, compute_codebook_health

logger = logging.get_logger(__name__)


def find_quantizer(model: nn.Module) -> LearnedQuantizer:
    """The learned quantiser inside of a model, however it is wrapped.

    Raises:
        ValueError: it has none.
    """
    for module in model.modules():
        if isinstance(module, LearnedQuantizer):
            return module
    raise ValueError(f"{type(model).__name__} has no learned quantiser")


@dataclass(kw_only=True)
class QuantizerConfig:
    """How a run treats the learned quantiser; what the quantiser is stands in the model's configuration.

    Attributes:
        max_gumbel_temperature: of the Gumbel softmax at the first update. w2v-BERT: 2.
        min_gumbel_temperature: least temperature. w2v-BERT: 0.1.
        gumbel_temperature_decay: factor of each update. w2v-BERT: 0.999995, for some hundred thousand
            updates; short runs need a smaller one.
        freeze_after: updates after which codebooks and front end are fixed, so that the code of a frame no longer
            changes, as that of BEST-RQ and HuBERT never does; None: they are always trained. Choice: short runs need
            it, because a predictor cannot follow codes that still move.
        min_usage: share of the entries chosen between two logs below which a codebook is said to have collapsed.
        min_perplexity_ratio: perplexity as a share of the entries, likewise.

    Raises:
        ValueError: temperatures that cannot fall, or a negative `freeze_after`.
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
                "min_gumbel_temperature must lie between 0 and max_gumbel_temperature "
                f"({self.max_gumbel_temperature}), "
                f"got {self.min_gumbel_temperature}"
            )
        if not 0 < self.gumbel_temperature_decay <= 1:
            raise ValueError(f"gumbel_temperature_decay must lie between 0 and 1, got {self.gumbel_temperature_decay}")
        if self.freeze_after is not None and self.freeze_after < 0:
            raise ValueError(f"freeze_after must not be negative, got {self.freeze_after}")


class QuantizerSchedule(TrainerCallback):
    """Sets the temperature and freezes the quantiser before every update, by the number of the update alone.

    `nearest` has no temperature. Freezing sets `is_frozen` of the quantiser, which stops its statistics; the training
    loop calls `drop_frozen_gradients` after every backward pass. Gradients are dropped, and not `requires_grad`, which
    several processes have agreed on; and before they are clipped, so that they do not shrink those of the rest.

    Args:
        config: temperatures, and the update from which the quantiser is frozen.
    """

    def __init__(self, config: QuantizerConfig) -> None:
        self.config = config

    def on_step_begin(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Set both."""
        config, quantizer = self.config, find_quantizer(model)
        if quantizer.method == "gumbel":
            start, minimum, factor = (
                config.max_gumbel_temperature,
                config.min_gumbel_temperature,
                config.gumbel_temperature_decay,
            )
            quantizer.set_temperature(anneal_temperature(state.global_step, start, minimum, factor))
        if config.freeze_after is not None:
            quantizer.is_frozen = state.global_step >= config.freeze_after


class CodebookWatch(TrainerCallback):
    """Counts the entries that frames choose, adds figures to the logs, and warns once where a codebook collapses.

    Figures: `codebook_usage`, share of entries chosen since the last figures; `codebook_perplexity` of these choices;
    of several codebooks the means. They are given when at least `frames_per_entry` frames per entry were seen, because
    fewer frames cannot show that entries are dead. `gumbel_temperature` is given with every log.

    Args:
        config: when a codebook is said to have collapsed.
        frames_per_entry: see above.
        grace_updates: updates before a warning; codebooks open up in the beginning.
    """

    def __init__(self, config: QuantizerConfig, frames_per_entry: int = 4, grace_updates: int = 100) -> None:
        self.min_usage, self.min_perplexity_ratio = config.min_usage, config.min_perplexity_ratio
        self.frames_per_entry, self.grace_updates = frames_per_entry, grace_updates
        self.warned = False
        self._counts: Tensor | None = None
        self._hook: Any = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Begin to count."""
        if self._hook is None:
            self._hook = find_quantizer(model).register_forward_hook(self._count)

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Stop counting."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    @torch.no_grad()
    def _count(self, quantizer: nn.Module, inputs: Any, output: QuantizerOutput) -> None:
        if not quantizer.training:
            return
        assert isinstance(quantizer, LearnedQuantizer)
        # (M,) or (M, G) -> (G, M)
        ids = output.ids.reshape(-1, quantizer.num_groups).T
        if self._counts is None:
            self._counts = ids.new_zeros(quantizer.num_groups, quantizer.num_codevectors)
        self._counts.scatter_add_(1, ids, torch.ones_like(ids))

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: Any = None, model: Any = None, **kwargs: Any
    ) -> None:
        """Add the figures of training; those of an evaluation are left alone."""
        if not logs or "loss" not in logs or model is None:
            return
        quantizer = find_quantizer(model)
        if quantizer.method == "gumbel":
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
        collapsed = (
            health.usage < self.min_usage or health.perplexity < self.min_perplexity_ratio * health.num_codevectors
        )
        if self.warned or not collapsed or step < self.grace_updates:
            return
        self.warned = True
        logger.warning(
            f"The codebook has collapsed, or never opened: at update {step} only {100 * health.usage:.0f} % of its "
            f"{health.num_codevectors} entries are chosen (perplexity {health.perplexity:.0f} over {health.num_ids} "
            "frames). Give the diversity loss more weight, lower the learning rate, let the Gumbel temperature fall "
            "more slowly, or take fewer entries."
        )


def drop_frozen_gradients(model: nn.Module) -> None:
    """Forget the gradients of front end and quantiser where the quantiser is frozen; the optimiser skips them then."""
    if not find_quantizer(model).is_frozen:
        return
    for name, parameter in model.named_parameters():
        if {"quantizer", "subsampling"} & set(name.split(".")):
            parameter.grad = None
