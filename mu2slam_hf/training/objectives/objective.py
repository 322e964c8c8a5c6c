# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Named losses as sums with their own counts, so that every split of an update has the same total.

Legend: K losses.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from mu2slam_hf.data.examples.example import task_of_id
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.models.modules_losses import named_means
from mu2slam_hf.models.task_types import MODALITIES
from mu2slam_hf.training.loss_report import LossTable

NOTHING: Mapping[str, Any] = MappingProxyType({})
_INPUT_RATES = {"conv2d": 100, "stacked_frames": 50, "waveform": 16000}  # positions of `attention_mask` per second


class Objective(ABC):
    """The losses of one kind of training: forward pass, sums, and numbers of targets.

    A new loss requires a name in `names`, its count in `count`, its sum in `sum` (or in the model, if that sums its
    own losses) and its weight in the dataclass that configures the objective. All other code refers to it by name.

    Attributes:
        names: names of the losses, in the order of summation.
        padded: name in the log -> key of a batch whose positive entries are real positions and all others padding.
        tasks: name of a loss -> task whose examples have it (`task_of_id`). A loss without a task can be caused by any
            record.
        table: layout of the losses on the console; None for one line.
        logs_counts: whether logs also have the number of targets of each loss.
        unused_parameters: treatment of parameters that a batch does not use: "none": there are none;
            "zero_gradient": their gradient is 0, as if their loss had weight 0; "no_gradient": the optimizer skips
            them, because no batch of the run uses them.
        text_masks: keys of a batch whose positive entries are the text tokens that a log counts, besides source texts.
        left_out: keys of a batch that the model does not read.
        weights: coefficient of each loss; a loss of weight 0 need not be computed.

    Args:
        model: model to train.
        config: dataclass with the weight of each loss under its name; None for weights of 1.
    """

    names: ClassVar[tuple[str, ...]]
    left_out: ClassVar[tuple[str, ...]] = ("record_ids", "loss_weights", "decoder_noise")
    padded: ClassVar[Mapping[str, str]] = NOTHING
    text_masks: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[Mapping[str, str]] = NOTHING
    table: ClassVar[LossTable | None] = None
    logs_counts: ClassVar[bool] = False
    unused_parameters: ClassVar[Literal["none", "zero_gradient", "no_gradient"]] = "none"

    def __init__(self, model: nn.Module, config: Any = None) -> None:
        self.model_config: Any = model.config
        # The front end in this configuration determines the number of encoder frames.
        self.encoder_config: Any = getattr(model.config, "encoder_config", None)
        self.num_parameters = sum(parameter.numel() for parameter in model.parameters())
        self.weights = {name: 1.0 if config is None else float(getattr(config, name)) for name in self.names}

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> Any:
        """Run the model on its inputs in a batch.

        Args:
            model: model as the trainer wraps it.
            batch: collated batch on the device of the model.
            step: number of updates so far; random draws differ between updates.
        """
        return model(**self.inputs_of(batch))

    def inputs_of(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of the model in a batch."""
        return {key: value for key, value in batch.items() if key not in self.left_out}

    @abstractmethod
    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Number of targets of each loss, 0-d, from the batch only: they are required before the model has run."""

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Sum of each computed loss over its targets, 0-d.

        By default the sums of the model, whose `loss_sums` `(K,)` are in the order of `names`.

        Args:
            outputs: outputs of `forward`.
            batch: batch of these outputs.
            is_training: False in evaluation.
        """
        return dict(zip(self.names, outputs.loss_sums.unbind(), strict=True))

    def stack(self, values: Mapping[str, Tensor], device: torch.device | str | None = None) -> Tensor:
        """`(K,)` values in the order of `names`, 0 for missing ones."""
        zero = torch.zeros((), device=device)
        return torch.stack([values.get(name, zero) for name in self.names])

    def weights_of(self, batch: Mapping[str, Any]) -> dict[str, float]:
        """Weight of each loss in a batch, whose `loss_weights` (of a phase of the run) take precedence."""
        return self.weights | batch.get("loss_weights", NOTHING)

    def weight_vector(self, batch: Mapping[str, Any], device: torch.device | str | None = None) -> Tensor:
        """`(K,)` weights in a batch, in the order of `names`."""
        weights = self.weights_of(batch)
        return torch.tensor([weights[name] for name in self.names], device=device)

    def describe(self, sums: Tensor, counts: Tensor) -> dict[str, float]:
        """Mean of each loss with targets, by name; empty for a single loss, which is the loss of the run.

        Args:
            sums: `(K,)` sums of the losses.
            counts: `(K,)` numbers of targets.
        """
        means = named_means(self.names, sums, counts)
        return {f"loss_{name}": mean for name, mean in means.items()} if len(self.names) > 1 else {}

    def weigh(self, sums: Tensor, counts: Tensor) -> float:
        """Weighted sum of the means of all losses."""
        return sum(self.weights[name] * mean for name, mean in named_means(self.names, sums, counts).items())

    def records_of(self, names: Iterable[str], record_ids: Sequence[str]) -> list[str]:
        """The examples among `record_ids` that may have caused these losses."""
        tasks = {self.tasks.get(name) for name in names}
        return [record for record in record_ids if task_of_id(record) in tasks] or list(record_ids)

    def count_frames(self, batch: Mapping[str, Any]) -> Tensor:
        """`(B,)` int64 encoder frames of each utterance of a batch of speech."""
        frames: Tensor = encoder_length(batch["attention_mask"].sum(dim=1), self.encoder_config)
        return frames

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """Roughly the floating-point operations of an update on a batch: 6 per parameter and encoder position."""
        if parts := parts_of(batch):
            return sum(map(self.count_operations, parts.values()))
        mask = batch.get("attention_mask")
        if mask is None:
            return 0
        length = mask.shape[1] if "input_ids" in batch else encoder_length(mask.shape[1], self.encoder_config)
        return int(6 * self.num_parameters * len(mask) * length)

    def count_speech_seconds(self, batch: Mapping[str, Any]) -> float:
        """Seconds of speech in a batch, without padding."""
        if parts := parts_of(batch):
            return sum(map(self.count_speech_seconds, parts.values()))
        if "attention_mask" not in batch or "input_ids" in batch:
            return 0.0
        rate = _INPUT_RATES[getattr(self.encoder_config, "frontend", "conv2d")]
        return float(batch["attention_mask"].sum()) / rate

    def count_text_tokens(self, batch: Mapping[str, Any]) -> int:
        """Text tokens in a batch, without padding: of source texts and of `text_masks`."""
        if parts := parts_of(batch):
            return sum(map(self.count_text_tokens, parts.values()))
        names = [*self.text_masks, *(["attention_mask"] if "input_ids" in batch else [])]
        return sum(int((batch[name] > 0).sum()) for name in names if name in batch)

    def callbacks(self) -> list[TrainerCallback]:
        """Callbacks of the trainer that run before those that show or write its logs."""
        return []

    def after_backward(self, model: nn.Module) -> None:  # noqa: B027 - optional
        """Called after the backward pass of each micro-batch."""

    def to(self, device: torch.device) -> None:  # noqa: B027 - optional
        """Move tensors and modules of the objective to a device."""


def parts_of(batch: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The parts of a batch of speech and text (see `SupervisedCollator`), in the order of `MODALITIES`; else empty."""
    return {name: batch[name] for name in MODALITIES if name in batch}
