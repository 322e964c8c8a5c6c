# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer of pre-training: mixed batches of all five tasks, 24 named losses, a frozen speech tokenizer beside.

Legend: U utterances, T feature frames, N encoder frames, R rows, L encoder and D decoder positions of a row, K losses.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mu2slam_hf.data.pretraining_collator import PRETRAINING_NON_MODEL_KEYS
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.task_types import PRETRAINING_TASKS
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.objectives import PRETRAINING_LOSS_TABLE, count_pretraining_targets, describe_losses
from mu2slam_hf.training.trainer import MultitaskTrainer

MAX_NAMED_RECORDS = 32
"""Records that an error names before it stops with "and so many more"."""


class PretrainingTrainer(MultitaskTrainer):
    """Trains `Mu2SLAMForPreTraining` on batches of `PretrainingCollator`.

    The model gives every loss as a sum over its targets. Each is divided by its own number of targets over all
    processes and micro-batches of the update; these numbers follow from the batches alone, so they are known before
    the first backward pass. The model lets every parameter take part in every batch, so nothing has to be touched
    here.

    Args:
        model: `Mu2SLAMForPreTraining`.
        args: `loss_weights` may name any of the 24 losses.
        speech_tokenizer: makes the speech ids of every batch, without gradient and in float32. It is kept on the
            device beside the model: neither its weights nor its name are in the checkpoints' weights, but the
            processor (`processing_class`) saves it where it holds it as its `speech_codec`.
        kwargs: as in `MultitaskTrainer`, without `table`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: MultitaskTrainingArguments,
        *,
        speech_tokenizer: SpeechTokenizerModel,
        **kwargs: Any,
    ) -> None:
        inner: Any = model.model
        stacks: tuple[nn.Module, ...] = (inner.encoder.conformer, inner.decoder.layers)
        self._stack_sizes = [sum(parameter.numel() for parameter in stack.parameters()) for stack in stacks]
        super().__init__(model, args, table=PRETRAINING_LOSS_TABLE, **kwargs)
        self.speech_tokenizer = speech_tokenizer.eval().to(args.device)

    def forward_batch(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        """Add the speech ids and run the model, which computes all losses itself."""
        inputs = {key: value for key, value in batch.items() if key not in PRETRAINING_NON_MODEL_KEYS}
        # (U, T, M) -> (U, N)
        inputs["speech_token_ids"] = self.speech_tokenizer(inputs["input_features"], inputs["attention_mask"])
        return model(**inputs)

    def compute_loss_sums(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, tuple[bool, ...]]:
        """`(K,)` sums of the losses; the second value is of no use here."""
        return outputs.loss_sums, ()

    def count_batch(self, batch: Mapping[str, Any]) -> Tensor:
        """`(K,)` float32 numbers of targets of one micro-batch, on the CPU."""
        return count_pretraining_targets(batch)

    def _touch_parameters(self, loss: Tensor, signature: Any) -> Tensor:
        """The model does this itself."""
        return loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        for batch in batch_samples:
            for side, name in enumerate(("sequence_ids", "decoder_sequence_ids")):
                ids = batch[name]
                self._report_positions[side] += torch.tensor([float((ids > 0).sum()), float(ids.numel())])
        return super()._get_num_items_in_batch(batch_samples, device)

    def _reset_report(self) -> None:
        super()._reset_report()
        # encoder and decoder: real positions, all positions
        self._report_positions = torch.zeros(2, 2)

    def describe_training(self, sums: Tensor, counts: Tensor) -> dict[str, float]:
        """Mean and number of targets of each loss since the last log, and the share of padding in the batches."""
        figures = describe_losses(self.table.names, sums, counts)
        figures.update({f"count_{name}": float(n) for name, n in zip(self.table.names, counts.tolist(), strict=True)})
        positions = self._sum_over_processes(self._report_positions.to(self.args.device)).tolist()
        for side, (real, total) in zip(("encoder", "decoder"), positions, strict=True):
            figures[f"padding_{side}"] = 1.0 - real / max(1.0, total)
        return figures

    def _describe_bad_loss(self, sums: Tensor, inputs: Mapping[str, Any]) -> str:
        """Names the losses that are not finite, and the records of their tasks."""
        bad = [name for name, good in zip(self.table.names, sums.isfinite().tolist(), strict=True) if not good]
        tasks = {name.split("_")[0] for name in bad} & set(PRETRAINING_TASKS)
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

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Rough count: 6 per parameter of the encoder and of the decoder, and position of its rows."""
        encoder, decoder = self._stack_sizes
        return 6 * (encoder * inputs["encoder_units"].numel() + decoder * inputs["decoder_units"].numel())
