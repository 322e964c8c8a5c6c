# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Multi-task trainer: every loss has a name, its own weight, and its own number of targets.

A batch is a dict of tensors. What the model does not take is named in `TARGET_KEYS`; all else goes to its forward.
Legend: K loss names.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from torch import Tensor, nn

from mu2slam_hf.models.modules_lengths import encoder_length, length_mask
from mu2slam_hf.models.modules_losses import cross_entropy_sum, ctc_sum
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.checkpoints import average_checkpoints
from mu2slam_hf.training.decoder_noise import DecoderNoise
from mu2slam_hf.training.development import DevelopmentSet, evaluate_development
from mu2slam_hf.training.graph import find_untouched_parameters
from mu2slam_hf.training.objectives import (
    LossTable,
    compute_decoder_nll,
    count_targets,
    describe_losses,
    expand_task_ids,
    sum_by_task,
    weigh_losses,
)
from mu2slam_hf.training.optim import build_optimizer, build_scheduler
from mu2slam_hf.training.resumable import ResumableTrainer

TARGET_KEYS = (
    "labels",
    "task_ids",
    "ctc_labels",
    "source_language_labels",
    "record_ids",
    "loss_weights",
    "decoder_noise",
)


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names the records of the batch."""


class MultitaskTrainer(ResumableTrainer):
    """Trainer for packed speech and text batches with named losses.

    Args:
        model: `Mu2SLAMForConditionalGeneration` or a peft wrapper of it.
        args: `MultitaskTrainingArguments`.
        table: names and order of the losses.
        development_sets: what `evaluate` reads, by name.
        development_metrics: `(model) -> dict` of further figures (generation on a few examples), run on the first
            process only, or on all of them alike where the model is sharded; injected, because training does not know
            evaluation.
        decoder_noise: makes noisy decoder inputs in training; None for clean ones.
        counters: by name, how often something happened in this process so far (unreadable recordings, ...); each log
            has their sums over all processes.
        kwargs: `train_dataset` (its keys are what the sampler yields), `train_batch_sampler`, `data_collator`,
            `callbacks`, ... as in `ResumableTrainer`.
    """

    def __init__(
        self,
        model: nn.Module,
        args: MultitaskTrainingArguments,
        *,
        table: LossTable,
        development_sets: Mapping[str, DevelopmentSet] | None = None,
        development_metrics: Callable[[nn.Module], dict[str, float]] | None = None,
        decoder_noise: DecoderNoise | None = None,
        counters: Mapping[str, Callable[[], int]] | None = None,
        **kwargs: Any,
    ) -> None:
        # The parent wants some dataset where eval_strategy is set; ours are read by `evaluate` below.
        super().__init__(model, args, eval_dataset=dict(development_sets or {}) or None, **kwargs)
        # Every loss is divided by its count over the whole update before backward.
        self.loss_is_scaled_for_ga = True
        self.table = table
        # Names the front end, which decides how many encoder frames there are.
        self.encoder_config: Any = getattr(getattr(model, "config", None), "encoder_config", None)
        self.development_sets = dict(development_sets or {})
        self.development_metrics = development_metrics
        self.decoder_noise = decoder_noise
        self.counters = dict(counters or {})
        self._weight_vectors: dict[Any, tuple[Tensor, list[float]]] = {}
        self.table.weight_vector(args.loss_weights or {})  # a wrong name is an error now, not at the first batch
        self._untouched: dict[Any, list[nn.Parameter]] = {}
        self._smoothing_rows = self._build_smoothing_rows()
        self._num_parameters = sum(parameter.numel() for parameter in model.parameters())
        self._last_metrics: tuple[int, dict[str, float]] | None = None
        self._reset_report()

    # ---- losses -------------------------------------------------------------------------------------------------

    def forward_batch(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        """Run the model on what it takes of a batch; targets stay here, so it computes no loss of its own."""
        inputs = {key: value for key, value in batch.items() if key not in TARGET_KEYS}
        if model.training and self.decoder_noise is not None:
            inputs["decoder_input_ids"] = self.decoder_noise(
                model,
                inputs["decoder_input_ids"],
                step=self.state.global_step,
                record_ids=batch.get("record_ids", ()),
                settings=batch.get("decoder_noise"),
            )
        return model(**inputs, use_cache=False)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Weighted sum of the named losses, each divided by its count over all ranks and micro-batches.

        Args:
            model: the wrapped model.
            inputs: a collated batch.
            return_outputs: also return the model's outputs.
            num_items_in_batch: `(K,)` counts of the whole update from `get_batch_samples`; counted here if None.

        Returns:
            The loss to call backward on, times the number of processes, because DDP averages gradients.

        Raises:
            NonFiniteLossError: on a NaN or infinite loss, if `args.check_finite_loss`.
        """
        outputs = self.forward_batch(model, inputs)
        sums, computed = self.compute_loss_sums(outputs, inputs)
        if num_items_in_batch is None:
            counts = self.count_batch(inputs).to(sums.device)
        else:
            counts = torch.as_tensor(num_items_in_batch, device=sums.device)
        loss = weigh_losses(sums, counts, self._weights_of(inputs)[0])
        if self.args.check_finite_loss and not bool(torch.isfinite(loss.detach())):
            raise NonFiniteLossError(self._describe_bad_loss(sums, inputs))
        if model.training:
            self._report_sums += sums.detach()
            loss = self._touch_parameters(loss, (frozenset(inputs), computed))
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def compute_loss_sums(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, tuple[bool, ...]]:
        """`(K,)` sums of the losses with targets in the batch and a weight, and which groups (of three) those are."""
        vector, weights = self._weights_of(batch)
        num_tasks = len(self.table.tasks)
        zero = torch.zeros((), device=vector.device)
        decoder_sums, sum_ctc, sum_language = zero.expand(num_tasks), zero, zero
        labels, ctc_labels = batch.get("labels"), batch.get("ctc_labels")
        has_decoder = labels is not None and any(weights[:num_tasks])
        if labels is not None and has_decoder:
            nll = compute_decoder_nll(
                outputs.logits,
                labels,
                label_smoothing=self.args.label_smoothing if self.model.training else 0.0,
                smoothing_rows=self._smoothing_rows,
            )
            decoder_sums = sum_by_task(nll, expand_task_ids(batch["task_ids"], labels), num_tasks)
        has_ctc = ctc_labels is not None and bool(weights[-2])
        if ctc_labels is not None and has_ctc:
            frames = length_mask(self.count_frames(batch), outputs.ctc_logits.shape[1])
            sum_ctc = ctc_sum(outputs.ctc_logits, frames, ctc_labels)[0]
        has_language = batch.get("source_language_labels") is not None and bool(weights[-1])
        if has_language:
            sum_language = cross_entropy_sum(outputs.language_logits, batch["source_language_labels"])[0]
        sums = torch.cat([decoder_sums, sum_ctc[None], sum_language[None]])
        return sums, (has_decoder, has_ctc, has_language)

    def _weights_of(self, batch: Mapping[str, Any]) -> tuple[Tensor, list[float]]:
        """`(K,)` coefficients on the device and as numbers: those that the batch brings from its phase, or ours."""
        weights = batch.get("loss_weights", self.args.loss_weights or {})
        key = tuple(sorted(weights.items()))
        if key not in self._weight_vectors:
            vector = self.table.weight_vector(weights)
            self._weight_vectors[key] = (vector.to(self.args.device), vector.tolist())
        return self._weight_vectors[key]

    def count_batch(self, batch: Mapping[str, Any]) -> Tensor:
        """`(K,)` float32 numbers of targets of one micro-batch, on the CPU."""
        has_ctc = "attention_mask" in batch and "ctc_labels" in batch
        return count_targets(batch, self.table, self.count_frames(batch) if has_ctc else None)

    def count_frames(self, batch: Mapping[str, Any]) -> Tensor:
        """`(B,)` int64 encoder frames of each utterance of a batch of speech."""
        frames: Tensor = encoder_length(batch["attention_mask"].sum(dim=1), self.encoder_config)
        return frames

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Counts of the whole update, summed over micro-batches and ranks (the Trainer's hook for this)."""
        if not batch_samples:
            return None
        counts = torch.stack([self.count_batch(batch) for batch in batch_samples]).sum(dim=0).to(device)
        self._report_counts += counts
        if self.tracked_sampler is not None:
            self.tracked_sampler.mark_consumed(len(batch_samples))
        return self._sum_over_processes(counts.clone())

    def _touch_parameters(self, loss: Tensor, signature: Any) -> Tensor:
        """Give parameters that this kind of batch leaves out a zero gradient, as if their loss had weight 0.

        A text batch uses neither the convolutional front end nor the CTC head. DDP would wait for their gradients,
        and Adam treats "none" and "zero" differently, so one process must do as many processes do.
        """
        if signature not in self._untouched:
            self._untouched[signature] = find_untouched_parameters(loss, self.model)
        for parameter in self._untouched[signature]:
            loss = loss + parameter.sum() * 0.0
        return loss

    def _build_smoothing_rows(self) -> Tensor | None:
        config = self.model.config
        offset = getattr(config, "text_token_offset", None)
        if offset is None or self.args.label_smoothing == 0.0:
            return None
        rows = torch.zeros(config.vocab_size, dtype=torch.bool, device=self.args.device)
        rows[offset:] = True
        rows[config.eos_token_id] = True
        return rows

    def _describe_bad_loss(self, sums: Tensor, inputs: Mapping[str, Any]) -> str:
        parts = describe_losses(self.table.names, sums.detach().cpu(), self.count_batch(inputs))
        ids = list(inputs.get("record_ids", ())) or ["(the batch names no records)"]
        return (
            f"The loss of update {self.state.global_step + 1} is not finite: {parts}. Records of this batch: "
            f"{', '.join(map(str, ids))}. Look at their audio and text, lower the learning rate, or resume from the "
            f"last checkpoint in {self.args.output_dir}."
        )

    # ---- optimiser and schedule ---------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimiser named by the arguments, without decay on norms, biases and embeddings."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(
                self.model if model is None else model,
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                optimizer=self.args.optimizer,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule named by the arguments."""
        if self.lr_scheduler is None:
            self.lr_scheduler = build_scheduler(
                self.optimizer if optimizer is None else optimizer,
                schedule=self.args.schedule,
                num_warmup_steps=self.args.num_warmup_steps,
                num_training_steps=num_training_steps,
                min_ratio=self.args.min_learning_rate_ratio,
                noam_factor=self.args.noam_factor,
                hidden_size=getattr(self.model.config, "hidden_size", None),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def load_averaged_weights(self, checkpoints: Sequence[str | Path]) -> None:
        """Replace the weights by the mean of those of several checkpoints of this run.

        Args:
            checkpoints: folders; adapters are averaged where the model has adapters.
        """
        averaged = average_checkpoints(checkpoints)
        if hasattr(self.model, "peft_config"):
            set_peft_model_state_dict(self.model, averaged)
            return
        self.load_whole_weights(averaged)

    # ---- reports ------------------------------------------------------------------------------------------------

    def _reset_report(self) -> None:
        self._report_sums = torch.zeros(len(self.table.names), device=self.args.device)
        self._report_counts = torch.zeros(len(self.table.names), device=self.args.device)
        self._report_start = (time.monotonic(), self.state.global_step)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the named losses, averaged over the targets since the last log, to the Trainer's own figures."""
        if "loss" in logs:
            sums, counts = self._sum_over_processes(torch.stack([self._report_sums, self._report_counts]))
            logs.update(self.describe_training(sums, counts))
            if self.counters:
                totals = torch.tensor([float(count()) for count in self.counters.values()], device=self.args.device)
                logs.update(zip(self.counters, map(int, self._sum_over_processes(totals).tolist()), strict=True))
            started, steps = self._report_start
            logs["seconds_per_step"] = (time.monotonic() - started) / max(1, self.state.global_step - steps)
            self._reset_report()
        super().log(logs, start_time)

    def describe_training(self, sums: Tensor, counts: Tensor) -> dict[str, float]:
        """What a log says of `(K,)` sums and counts over all processes and updates since the last one."""
        return describe_losses(self.table.names, sums, counts)

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, reduction="sum") if self.args.world_size > 1 else values

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Rough count: 6 per parameter and position; the parent's estimate walks over all modules at every step."""
        mask = inputs.get("attention_mask")
        if mask is None:
            return 0
        return int(6 * self._num_parameters * mask.shape[0] * encoder_length(mask.shape[1], self.encoder_config))

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """Named losses and greedy CTC error rates on the development sets, then the injected metrics.

        Args:
            eval_dataset: `{name: DevelopmentSet}`; the trainer's own if None.
            ignore_keys: unused, part of the Trainer's signature.
            metric_key_prefix: put before every name.
            gen_kwargs: unused; generation settings belong to `development_metrics`.
        """
        sets = self.development_sets if eval_dataset is None else dict(eval_dataset)
        started = time.monotonic()
        metrics: dict[str, float] = {}
        for name, development_set in sets.items():
            prefix = metric_key_prefix if len(sets) == 1 else f"{metric_key_prefix}_{name}"
            figures = evaluate_development(self, development_set)
            metrics.update({f"{prefix}_{key}": value for key, value in figures.items()})
        if self.development_metrics is not None:
            if self.is_world_process_zero() or self.is_sharded:
                was_training = self.model.training
                figures = self.development_metrics(self.model.eval())
                self.model.train(was_training)
                metrics.update({f"{metric_key_prefix}_{key}": value for key, value in figures.items()})
            self.accelerator.wait_for_everyone()
        seconds = time.monotonic() - started
        metrics[f"{metric_key_prefix}_runtime"] = seconds
        self._last_metrics = (self.state.global_step, dict(metrics))
        # Time spent here is not time of training steps.
        self._report_start = (self._report_start[0] + seconds, self._report_start[1])
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def evaluated_at_end(self) -> dict[str, float] | None:
        """Figures of the last evaluation, if no update came after it."""
        if self._last_metrics is None or self._last_metrics[0] != self.state.global_step:
            return None
        return self._last_metrics[1]
