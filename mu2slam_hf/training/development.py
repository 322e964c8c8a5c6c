# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation during training: losses and figures of scorers on development examples.

Letters: K losses.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.scorers import Scorer


@dataclass(frozen=True, kw_only=True)
class DevelopmentSet:
    """Examples of an evaluation.

    Attributes:
        dataset: map-style data set.
        batches: lists of dataset keys, the whole set; every process takes its share.
        collator: collates a list of items into a batch.
        scorer: scorer of the outputs; None for losses only.
    """

    dataset: Any
    batches: Sequence[list[Any]]
    collator: Callable[[list[Any]], Any]
    scorer: Scorer | None = None


@dataclass
class Measurement:
    """Results of one process on its share of a development set.

    Attributes:
        sums: `(K,)` sums of the losses.
        counts: `(K,)` float32 numbers of targets.
        rows: rows of the scorer.
    """

    sums: Tensor
    counts: Tensor
    rows: list[Any]

    def describe(self, objective: Objective, scorer: Scorer | None) -> dict[str, float]:
        """`loss_<name>` of each loss with targets, their weighted sum `loss`, and the figures of the scorer."""
        figures = objective.describe(self.sums, self.counts)
        figures["loss"] = objective.weigh(self.sums, self.counts)
        return figures | (scorer.score(self.rows) if scorer is not None and self.rows else {})


@torch.no_grad()
def measure(
    objective: Objective,
    model: nn.Module,
    batches: Iterable[Mapping[str, Any]],
    *,
    num_batches: int,
    device: torch.device,
    scorer: Scorer | None = None,
) -> Measurement:
    """Run a model over batches in evaluation mode, and restore its mode afterwards.

    Args:
        objective: objective that runs the model.
        model: model as it is trained.
        batches: batches on the device of the model.
        num_batches: number of batches that are measured. The model also runs on the remaining ones, to stay
            synchronized with other processes.
        device: device of the sums.
        scorer: scorer of the outputs; None for losses only.
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(len(objective.names), device=device)
    results = Measurement(sums, torch.zeros_like(sums), [])
    batches = iter(batches)
    for batch in islice(batches, num_batches):
        outputs = objective.forward(model, batch, step=0)
        results.sums += objective.stack(objective.sum(outputs, batch, is_training=False), device)
        results.counts += objective.stack(objective.count(batch), device)
        if scorer is not None:
            results.rows += scorer.collect(objective, outputs, batch)
    for batch in batches:
        objective.forward(model, batch, step=0)
    model.train(was_training)
    return results
