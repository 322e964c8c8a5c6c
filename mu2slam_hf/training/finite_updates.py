# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Updates whose loss or gradient is not finite: which records caused them, and how many are skipped.

Legend: K losses.
"""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from transformers.utils import logging

from mu2slam_hf.training.objectives.objective import Objective

logger = logging.get_logger(__name__)

MAX_NAMED_RECORDS = 32
"""Maximum number of records in a message; the others are only counted."""


class NonFiniteLossError(RuntimeError):
    """More updates than allowed had a loss or gradient that is NaN or infinite; the message names the records."""


class FiniteUpdates:
    """Remembers the losses of the micro-batches of an update, and counts updates that are skipped.

    Args:
        objective: names of the losses, and the tasks that have them.
        max_skipped: number of updates that may be skipped since the run was started.

    Attributes:
        num_skipped: number of updates skipped so far; the same in all processes.
    """

    def __init__(self, objective: Objective, max_skipped: int) -> None:
        self.objective, self.max_skipped = objective, max_skipped
        self.num_skipped = 0
        self._micro_batches: list[tuple[Tensor, list[str]]] = []

    def begin(self) -> None:
        """Forget the previous update."""
        self._micro_batches = []

    def add(self, sums: Tensor, batch: Mapping[str, Any]) -> None:
        """Remember the losses of a micro-batch; they are read only if the update turns out not to be finite.

        Args:
            sums: `(K,)` sums of the losses.
            batch: the batch with its `record_ids`.
        """
        self._micro_batches.append((sums.detach(), [str(record) for record in batch.get("record_ids", ())]))

    def skip(self, step: int) -> None:
        """Count an update that is not finite and log its records; every process must call this.

        Args:
            step: number of the update.

        Raises:
            NonFiniteLossError: more than `max_skipped` updates were not finite.
        """
        results = gather_object([self._find()])
        bad = {name for names, _, _ in results for name in names}
        losses = [name for name in self.objective.names if name in bad]
        # With finite losses and a gradient that is not, any record of the update may have caused it.
        records = [record for _, caused, present in results for record in (caused if losses else present)]
        self.num_skipped += 1
        message = _describe(step, losses, records)
        if self.num_skipped > self.max_skipped:
            raise NonFiniteLossError(
                f"{message} {self.num_skipped} updates of this run were not finite, and {self.max_skipped} may be "
                "skipped (training.max_skipped_updates). Look at their audio and text, or lower the learning rate, "
                "and resume from the last checkpoint."
            )
        logger.warning(f"{message} It is skipped ({self.num_skipped} of at most {self.max_skipped}).")

    def _find(self) -> tuple[list[str], list[str], list[str]]:
        """Losses of this process that are not finite, the records that may have caused them, and all records."""
        names: list[str] = []
        caused: list[str] = []
        present: list[str] = []
        for sums, ids in self._micro_batches:
            finite = torch.isfinite(sums).tolist()
            bad = [name for name, good in zip(self.objective.names, finite, strict=True) if not good]
            if bad:
                caused += self.objective.records_of(bad, ids)
            names += bad
            present += ids
        return names, caused, present


def _describe(step: int, losses: list[str], records: list[str]) -> str:
    what = f"The loss of update {step} is not finite: {', '.join(losses)}"
    if not losses:
        what = f"The gradient of update {step} is not finite"
    named = ", ".join(records[:MAX_NAMED_RECORDS]) or "(the batches have no record ids)"
    if len(records) > MAX_NAMED_RECORDS:
        named += f" and {len(records) - MAX_NAMED_RECORDS} more"
    return f"{what}. Records that may have caused it: {named}."
