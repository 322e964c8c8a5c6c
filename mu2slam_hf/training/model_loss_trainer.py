# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer of models that sum all their losses themselves, whatever a batch holds.

Legend: K losses.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.objectives import LossTable, describe_losses
from mu2slam_hf.training.trainer import MultitaskTrainer

MAX_NAMED_RECORDS = 32
"""Records that an error names before it stops with "and so many more"."""


class ModelLossTrainer(MultitaskTrainer):
    """Trains a model whose output has `loss_sums` `(K,)`, on batches with `record_ids`.

    The model gives every loss as a sum over its targets. Each is divided by its own number of targets over all
    processes and micro-batches of the update; these numbers follow from the batches alone, so they are known before
    the first backward pass. The model lets every parameter take part in every batch, so nothing has to be touched
    here.

    Attributes:
        loss_table: of a subclass: names and order of its losses.
        padded: of a subclass: by the name that the log has for it, the key of a batch whose positive entries are real
            positions and all others padding.

    Args:
        model: sums its own losses.
        args: `loss_weights` may name any loss of the table.
        kwargs: as in `MultitaskTrainer`, without `table`.
    """

    loss_table: ClassVar[LossTable]
    padded: ClassVar[Mapping[str, str]]

    def __init__(self, model: nn.Module, args: MultitaskTrainingArguments, **kwargs: Any) -> None:
        super().__init__(model, args, table=self.loss_table, **kwargs)

    @staticmethod
    def tasks_of_loss(name: str) -> tuple[str, ...]:
        """Tasks whose examples have a loss, as the ids of these examples begin (`asr:...`)."""
        return (name.split("_")[0],)

    def compute_loss_sums(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, tuple[bool, ...]]:
        """`(K,)` sums of the losses; the second value is of no use here."""
        return outputs.loss_sums, ()

    def _touch_parameters(self, loss: Tensor, signature: Any) -> Tensor:
        """The model does this itself."""
        return loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        for batch in batch_samples:
            for side, name in enumerate(self.padded.values()):
                real, total = (batch[name] > 0).sum(), batch[name].numel()
                self._report_positions[side] += torch.tensor([float(real), float(total)])
        return super()._get_num_items_in_batch(batch_samples, device)

    def _reset_report(self) -> None:
        super()._reset_report()
        # of each side: real positions, all positions
        self._report_positions = torch.zeros(len(self.padded), 2)

    def describe_training(self, sums: Tensor, counts: Tensor) -> dict[str, float]:
        """Mean and number of targets of each loss since the last log, and the share of padding in the batches."""
        figures = describe_losses(self.table.names, sums, counts)
        figures.update({f"count_{name}": float(n) for name, n in zip(self.table.names, counts.tolist(), strict=True)})
        positions = self._sum_over_processes(self._report_positions.to(self.args.device)).tolist()
        for side, (real, total) in zip(self.padded, positions, strict=True):
            figures[f"padding_{side}"] = 1.0 - real / max(1.0, total)
        return figures

    def _describe_bad_loss(self, sums: Tensor, inputs: Mapping[str, Any]) -> str:
        """Names the losses that are not finite, and the records of their tasks."""
        bad = [name for name, good in zip(self.table.names, sums.isfinite().tolist(), strict=True) if not good]
        tasks = {task for name in bad for task in self.tasks_of_loss(name)}
        ids = [str(record) for record in inputs.get("record_ids", ())]
        suspects = [record for record in ids if record.split(":")[0] in tasks] or ids
        named = ", ".join(suspects[:MAX_NAMED_RECORDS]) or "(the batch names no records)"
        if len(suspects) > MAX_NAMED_RECORDS:
            named += f" and {len(suspects) - MAX_NAMED_RECORDS} more"
        return (
            f"The loss of update {self.state.global_step + 1} is not finite: {', '.join(bad) or 'their sum'}. Records "
            f"of these tasks in the batch: {named}. Look at their audio and text, lower the learning rate, or resume "
            f"from the last checkpoint in {self.args.output_dir}."
        )
