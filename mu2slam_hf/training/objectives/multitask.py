# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Objective of supervised training on batches that hold speech and text together."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mu2slam_hf.training.objectives.supervised import SupervisedObjective

PARTS = ("speech", "text")
"""Parts of a batch of `MultitaskCollator`, in the order in which the model reads them."""


class MultitaskObjective(SupervisedObjective):
    """The losses of `SupervisedObjective` over the parts of a batch, each with a forward pass of its own.

    All parts are in one loss and one backward pass. So an update has fixed shares of the tasks, and processes stay
    synchronized whatever the tasks of a batch are.
    """

    def forward(self, model: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """Outputs of the model by part."""
        return {name: super(MultitaskObjective, self).forward(model, part, step) for name, part in _parts(batch)}

    def count(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Numbers of targets, summed over the parts."""
        return _total(super(MultitaskObjective, self).count(part) for _, part in _parts(batch))

    def sum(self, outputs: Any, batch: Mapping[str, Any], *, is_training: bool) -> dict[str, Tensor]:
        """Sums of the losses over the parts."""
        return _total(
            super(MultitaskObjective, self).sum(outputs[name], part, is_training=is_training)
            for name, part in _parts(batch)
        )

    def count_operations(self, batch: Mapping[str, Any]) -> int:
        """See the base class; summed over the parts."""
        return sum(super(MultitaskObjective, self).count_operations(part) for _, part in _parts(batch))

    def count_speech_seconds(self, batch: Mapping[str, Any]) -> float:
        """See the base class; summed over the parts."""
        return sum(super(MultitaskObjective, self).count_speech_seconds(part) for _, part in _parts(batch))

    def count_text_tokens(self, batch: Mapping[str, Any]) -> int:
        """See the base class; summed over the parts."""
        return sum(super(MultitaskObjective, self).count_text_tokens(part) for _, part in _parts(batch))


def _parts(batch: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, batch[name]) for name in PARTS if name in batch]


def _total(parts: Any) -> dict[str, Tensor]:
    """The values of all parts, added by name."""
    total: dict[str, Tensor] = {}
    for values in parts:
        for name, value in values.items():
            total[name] = total[name] + value if name in total else value
    return total
