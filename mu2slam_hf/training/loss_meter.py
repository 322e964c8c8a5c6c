# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sums and counts of the losses, padding and time of a process since the last log.

Letters: K losses, S sides of a batch that are padded.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.training.objectives.objective import Objective


class LossMeter:
    """Accumulates figures over micro-batches and updates, from one log to the next.

    Args:
        objective: objective with the names of the losses and of the padded inputs.
        device: device of the losses.
    """

    def __init__(self, objective: Objective, device: torch.device) -> None:
        self.objective, self.device = objective, device
        self.restart(0)

    def restart(self, step: int) -> None:
        """Reset all figures after `step` updates."""
        self.sums = torch.zeros(len(self.objective.names), device=self.device)
        self.counts = torch.zeros_like(self.sums)
        # (S, 2): real positions and all positions of each side
        self.positions = torch.zeros(len(self.objective.padded), 2)
        self._started, self._step = time.monotonic(), step

    def skip_time(self, seconds: float) -> None:
        """Exclude time that was not spent on updates."""
        self._started += seconds

    def count(self, batches: Sequence[Mapping[str, Any]]) -> Tensor:
        """`(K,)` float32 numbers of targets in the micro-batches of an update; they are added to the figures."""
        objective = self.objective
        counts = torch.stack([objective.stack(objective.count(batch)) for batch in batches]).float().sum(dim=0)
        self.counts += counts.to(self.device)
        for batch in batches:
            for side, key in enumerate(objective.padded.values()):
                self.positions[side] += torch.tensor([float((batch[key] > 0).sum()), float(batch[key].numel())])
        return counts

    def describe(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Figures of all processes; `reduce` sums over the processes."""
        objective = self.objective
        sums, counts = reduce(torch.stack([self.sums, self.counts]))
        figures = objective.describe(sums, counts)
        if objective.logs_counts:
            figures |= {f"count_{name}": count for name, count in zip(objective.names, counts.tolist(), strict=True)}
        if objective.padded:
            positions = reduce(self.positions.to(self.device)).tolist()
            for side, (real, total) in zip(objective.padded, positions, strict=True):
                figures[f"padding_{side}"] = 1.0 - real / max(1.0, total)
        return figures

    def seconds(self) -> float:
        """Time of the updates since the last log."""
        return time.monotonic() - self._started

    def seconds_per_step(self, step: int) -> float:
        """Seconds of an update since the last log."""
        return self.seconds() / max(1, step - self._step)
