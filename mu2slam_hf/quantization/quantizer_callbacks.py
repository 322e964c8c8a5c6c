# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run does with a learned quantiser: cools its Gumbel softmax, and watches how its codebooks are used.

Shapes: M frames, G codebooks, K entries of each.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
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


class GumbelAnnealing(TrainerCallback):
    """Sets the temperature before every update, by the number of the update alone; `nearest` has none and is left.

    Args:
        start: temperature of the first update.
        minimum: least temperature.
        factor: by which it falls from update to update. Paper: 0.999995 (w2v-BERT, some hundred thousand updates);
            short runs need a smaller one.
    """

    def __init__(self, start: float = 2.0, minimum: float = 0.1, factor: float = 0.999995) -> None:
        if not 0 < minimum <= start:
            raise ValueError(f"minimum must lie between 0 and start ({start}), got {minimum}")
        if not 0 < factor <= 1:
            raise ValueError(f"factor must lie between 0 and 1, got {factor}")
        self.start, self.minimum, self.factor = start, minimum, factor

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Set it."""
        assert model is not None  # the Trainer always hands it in
        quantizer = find_quantizer(model)
        if quantizer.method == "gumbel":
            quantizer.set_temperature(anneal_temperature(state.global_step, self.start, self.minimum, self.factor))


class CodebookWatch(TrainerCallback):
    """Counts the entries that frames choose, adds figures to the logs, and warns once where a codebook collapses.

    Figures: `codebook_usage`, share of entries chosen since the last figures; `codebook_perplexity` of these choices;
    of several codebooks the means. They are given when at least `frames_per_entry` frames per entry were seen, because
    fewer frames cannot show that entries are dead. `gumbel_temperature` is given with every log.

    Args:
        min_usage: a codebook of which less is used is said to have collapsed.
        min_perplexity_ratio: one whose perplexity is a lesser share of its entries, likewise.
        frames_per_entry: see above.
        grace_updates: updates before a warning; codebooks open up in the beginning.
    """

    def __init__(
        self,
        min_usage: float = 0.25,
        min_perplexity_ratio: float = 0.05,
        frames_per_entry: int = 4,
        grace_updates: int = 100,
    ) -> None:
        self.min_usage, self.min_perplexity_ratio = min_usage, min_perplexity_ratio
        self.frames_per_entry, self.grace_updates = frames_per_entry, grace_updates
        self.warned = False
        self._counts: Tensor | None = None
        self._hook: Any = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin to count."""
        assert model is not None
        if self._hook is None:
            self._hook = find_quantizer(model).register_forward_hook(self._count)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
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
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        model: nn.Module | None = None,
        **kwargs: Any,
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


class QuantizerFreezing(TrainerCallback):
    """Holds front end and quantiser from some update on, so that the code of a frame is the same ever after.

    This sets `is_frozen` of the quantiser, which stops what it counts; the trainer calls `drop_frozen_gradients` after
    every backward pass. Gradients are dropped, and not `requires_grad`, which several processes have agreed on; and
    before they are clipped, so that they do not shrink those of the rest.

    Args:
        after: updates that still move them.
    """

    def __init__(self, after: int) -> None:
        if after < 0:
            raise ValueError(f"freeze_after must not be negative, got {after}")
        self.after = after

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Hold or release what the quantiser counts."""
        assert model is not None
        find_quantizer(model).is_frozen = state.global_step >= self.after


def drop_frozen_gradients(model: nn.Module) -> None:
    """Forget the gradients of front end and quantiser where the quantiser is frozen; the optimiser skips them then."""
    if not find_quantizer(model).is_frozen:
        return
    for name, parameter in model.named_parameters():
        if {"quantizer", "subsampling"} & set(name.split(".")):
            parameter.grad = None


def add_quantizer_callbacks(
    trainer: Any, annealing: GumbelAnnealing, watch: CodebookWatch, freezing: QuantizerFreezing | None = None
) -> None:
    """Add them to a trainer, before those that show and write its logs, which then have the figures."""
    own = [annealing, watch] + ([] if freezing is None else [freezing])
    trainer.callback_handler.callbacks[:0] = own
