# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The trainer of all kinds of training: every loss has a name, its own weight, and its own number of targets.

A batch is a dict of tensors that the objective interprets. Legend: K losses.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging

from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.models.modules_losses import weighted_mean_sum
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.batch_tracking import TrackedBatchSampler
from mu2slam_hf.training.callbacks import ConsoleLines, ConsoleTable, EvaluateAtEnd, LogFile
from mu2slam_hf.training.development import DevelopmentSet, measure
from mu2slam_hf.training.early_stopping import EarlyStopping
from mu2slam_hf.training.finite_updates import FiniteUpdates
from mu2slam_hf.training.gradient_norms import compute_gradient_norms
from mu2slam_hf.training.graph import find_untouched_parameters
from mu2slam_hf.training.loss_meter import LossMeter
from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.optim import build_optimizer, build_scheduler
from mu2slam_hf.training.resume import ResumeMixin
from mu2slam_hf.training.sharded_training import ShardingMixin, choose_sharding
from mu2slam_hf.training.throughput import Throughput, measure_product_rate


class MultitaskTrainer(ResumeMixin, ShardingMixin):
    """transformers' `Seq2SeqTrainer` for any objective, with an endless, stateful batch sampler.

    A killed and resumed run ends with the same weights, bit for bit, as an uninterrupted one. The model is split over
    the processes if `args.shard_parameters` is set or the launch configuration of accelerate selects FSDP2.
    Logs go to `log.jsonl` in the output folder and, as lines and tables, to the console.

    Args:
        model: model to train; it is sharded, if requested, when training starts.
        args: training arguments; the length of a run is `max_steps` updates, there are no epochs.
        objective: runs the model and computes the losses.
        train_batch_sampler: batches of keys of `train_dataset` for this process; None for evaluation only.
        development_sets: development sets of `evaluate`, by name.
        development_metrics: `(model) -> dict` of further figures (generation on a few examples), run on the first
            process only, or on all of them if the model is sharded; injected, because training does not import
            evaluation.
        counters: functions by name that return the number of events of this process so far (unreadable recordings,
            ...); each log has their sums over all processes.
        name_every_set: whether figures have the name of their development set even if it is the only one.
        callbacks: further callbacks.
        kwargs: `train_dataset`, `data_collator`, `processing_class`, ... as in `Seq2SeqTrainer`.

    Raises:
        ValueError: the model or the precision does not support sharding.
    """

    def __init__(
        self,
        model: nn.Module,
        args: MultitaskTrainingArguments,
        *,
        objective: Objective,
        train_batch_sampler: ResumableBatchSampler | None = None,
        development_sets: Mapping[str, DevelopmentSet] | None = None,
        development_metrics: Callable[[nn.Module], dict[str, float]] | None = None,
        counters: Mapping[str, Callable[[], int]] | None = None,
        name_every_set: bool = False,
        callbacks: list[TrainerCallback] | None = None,
        **kwargs: Any,
    ) -> None:
        self.sharding = choose_sharding(model, args)
        # Searching the graph at every step is slow, and would count parameters with an added zero gradient twice.
        args.ddp_find_unused_parameters = objective.unused_parameters == "no_gradient"
        super().__init__(
            model=model,
            args=args,
            # The parent requires a data set if eval_strategy is set; `evaluate` below reads the development sets.
            eval_dataset=dict(development_sets or {}) or None,
            callbacks=[LogFile(), EvaluateAtEnd(), *(callbacks or [])],
            **kwargs,
        )
        # Every loss is divided by its count over the whole update before backward.
        self.loss_is_scaled_for_ga = True
        self.objective = objective
        objective.to(args.device)
        self.tracked_sampler = None
        if train_batch_sampler is not None:
            in_process = train_batch_sampler.reads_files and args.dataloader_num_workers > 0
            self.tracked_sampler = TrackedBatchSampler(train_batch_sampler, in_process=in_process)
        self.development_sets = dict(development_sets or {})
        self.development_metrics = development_metrics
        self.counters = dict(counters or {})
        self.name_every_set = name_every_set
        self.meter = LossMeter(objective, args.device)
        self.throughput = Throughput(objective)
        self._product_rate: float | None = None
        self._gradient_norms: dict[str, Tensor] = {}
        self.finite_updates = FiniteUpdates(objective, args.max_skipped_updates)
        self._untouched: dict[Any, list[nn.Parameter]] = {}
        self._last_metrics: tuple[int, dict[str, float]] | None = None
        self._set_up_console()
        if args.early_stopping_patience is not None:
            better = bool(args.greater_is_better)
            self.add_callback(
                EarlyStopping(
                    args.early_stopping_patience,
                    self.best_metric,
                    greater_is_better=better,
                    warmup_steps=int(args.warmup_steps),
                )
            )

    @property
    def best_metric(self) -> str:
        """Name in the logs of the metric that selects the best checkpoint."""
        return "eval_" + str(self.args.metric_for_best_model).removeprefix("eval_")

    def improves_on_best(self, metrics: dict[str, float]) -> bool:
        """Whether figures of an evaluation are at least as good as those of the best checkpoint."""
        best, value = self.state.best_metric, metrics[self.best_metric]
        return best is None or (value >= best if self.args.greater_is_better else value <= best)

    def _set_up_console(self) -> None:
        """Show lines and tables instead of the Trainer's dictionaries, after callbacks that add figures to logs."""
        self.callback_handler.callbacks[:0] = self.objective.callbacks()
        # In the lines of a log, bars for every file that is written are noise.
        logging.disable_progress_bar()
        self.show_progress((ConsoleLines if self.args.disable_tqdm else ConsoleTable)(self.objective.table))

    def show_progress(self, console: TrainerCallback) -> None:
        """Show the progress of training by a callback, in place of the one before."""
        for replaced in (ProgressCallback, PrinterCallback):
            self.remove_callback(replaced)
        self.add_callback(console)

    # ---- losses -------------------------------------------------------------------------------------------------

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
            return_outputs: whether to return the model's outputs too.
            num_items_in_batch: `(K,)` counts of the whole update from `get_batch_samples`; counted here if None.

        Returns:
            The loss to call backward on, times the number of processes, because DDP averages gradients.
        """
        objective = self.objective
        outputs = objective.forward(model, inputs, self.state.global_step)
        computed = objective.sum(outputs, inputs, is_training=model.training)
        sums = objective.stack(computed, self.args.device)
        counts = objective.stack(objective.count(inputs)) if num_items_in_batch is None else num_items_in_batch
        counts = torch.as_tensor(counts, device=sums.device)
        loss = weighted_mean_sum(sums, counts, objective.weight_vector(inputs, sums.device))
        if model.training:
            self.finite_updates.add(sums, inputs)
            # What is not finite is logged by name; it must not hide the other losses.
            self.meter.sums += sums.detach().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            if objective.unused_parameters == "zero_gradient":
                loss = self._touch_parameters(loss, (frozenset(inputs), frozenset(computed)))
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward pass of one micro-batch."""
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.objective.after_backward(model)
        return loss.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Counts of the whole update, summed over micro-batches and ranks (the Trainer's hook for this)."""
        if not batch_samples:
            return None
        counts = self.meter.count(batch_samples).to(device)
        if self.tracked_sampler is not None:
            self.tracked_sampler.mark_consumed(len(batch_samples))
        return self._sum_over_processes(counts)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The micro-batches of an update and their counts; the time until they arrive is measured."""
        if self._product_rate is None:
            # Once, at the first update: the share of it that the model reaches is in every log.
            dtype = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else torch.float32
            started = time.monotonic()
            self._product_rate = measure_product_rate(self.args.device, dtype)
            self.meter.skip_time(time.monotonic() - started)
        self.finite_updates.begin()
        results: tuple[list[Any], Any] = super().get_batch_samples(
            self.throughput.timed(epoch_iterator), num_batches, device
        )
        self.throughput.add(results[0])
        return results

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """As the parent; an update that is not finite is skipped, and norms by part of the model are kept for a log.

        Gradients are those of all processes here, so all of them find the same and skip the same updates. An update
        without gradients changes neither weights nor moments. With float16 the scaler of the loss skips updates.

        Raises:
            NonFiniteLossError: more than `args.max_skipped_updates` were not finite.
        """
        total = super()._get_grad_norm(model, grad_norm=grad_norm)
        if self.accelerator.scaler is None and not math.isfinite(total):
            model.zero_grad(set_to_none=True)
            self.finite_updates.skip(self.state.global_step + 1)
            return None
        if (self.state.global_step + 1) % max(1, int(self.state.logging_steps)) == 0:
            norms = compute_gradient_norms(self.model)
            if grad_norm is not None:  # the gradients are clipped already
                scale = max(1.0, (float(total) + 1e-6) / self.args.max_grad_norm)
                norms = {group: norm * scale for group, norm in norms.items()}
            self._gradient_norms = norms
        return total

    def _touch_parameters(self, loss: Tensor, signature: Any) -> Tensor:
        """Give parameters that this kind of batch does not use a zero gradient, as if their loss had weight 0.

        DDP would wait for their gradients, and Adam treats "none" and "zero" differently, so one process must do the
        same as several.
        """
        if signature not in self._untouched:
            self._untouched[signature] = find_untouched_parameters(loss, self.model)
        for parameter in self._untouched[signature]:
            loss = loss + parameter.sum() * 0.0
        return loss

    # ---- optimizer and schedule ---------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer named by the arguments, without decay on norms, biases and embeddings."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(
                self.model if model is None else model,
                learning_rate=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                optimizer=self.args.optimizer,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                language_model_factor=self.args.language_model_factor,
                head_learning_rate_ratio=self.args.head_learning_rate_ratio,
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule named by the arguments."""
        if self.lr_scheduler is None:
            self.lr_scheduler = build_scheduler(
                self.optimizer if optimizer is None else optimizer,
                schedule=self.args.schedule,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps),
                num_training_steps=num_training_steps,
                min_ratio=self.args.min_learning_rate_ratio,
                noam_factor=self.args.noam_factor,
                hidden_size=getattr(self.model.config, "hidden_size", None),
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # ---- reports ------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the named losses, averaged over the targets since the last log, to the Trainer's own figures."""
        if "loss" in logs:
            step = self.state.global_step
            logs.update(self.meter.describe(self._sum_over_processes))
            if self.counters:
                totals = torch.tensor([float(count()) for count in self.counters.values()], device=self.args.device)
                logs.update(zip(self.counters, map(int, self._sum_over_processes(totals).tolist()), strict=True))
            logs["seconds_per_step"] = self.meter.seconds_per_step(step)
            logs.update(self._describe_training())
            logs["skipped_updates"] = self.finite_updates.num_skipped
            self.meter.restart(step)
            self.throughput.restart()
        super().log(logs, start_time)

    def _describe_training(self) -> dict[str, float]:
        """Speed since the last log, and the norms of the gradient of the last update."""
        figures = {f"grad_norm_{group}": float(norm) for group, norm in self._gradient_norms.items()}
        self._gradient_norms = {}
        if self._product_rate is None:
            return figures

        def reduce(values: Tensor) -> Tensor:
            return self._sum_over_processes(values.to(self.args.device)).cpu()

        return figures | self.throughput.describe(
            self.meter.seconds(), self.args.world_size, self._product_rate, reduce
        )

    def _sum_over_processes(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, reduction="sum") if self.args.world_size > 1 else values

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """The objective's estimate; the parent's walks over all modules at every step."""
        return self.objective.count_operations(inputs)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """Named losses and the scorers' figures on the development sets, then the injected metrics.

        Args:
            eval_dataset: `{name: DevelopmentSet}`; the trainer's own if None.
            ignore_keys: unused, part of the Trainer's signature.
            metric_key_prefix: prefix of every name.
            gen_kwargs: unused; generation settings belong to `development_metrics`.
        """
        sets = self.development_sets if eval_dataset is None else dict(eval_dataset)
        started = time.monotonic()
        metrics: dict[str, float] = {}
        for name, development_set in sets.items():
            named = self.name_every_set or len(sets) > 1
            prefix = f"{metric_key_prefix}_{name}" if named else metric_key_prefix
            figures = self._measure(development_set)
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
        self.meter.skip_time(seconds)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _measure(self, development_set: DevelopmentSet) -> dict[str, float]:
        """Figures of one development set over all processes."""
        args, batches = self.args, development_set.batches
        share = list(batches[args.process_index :: args.world_size])
        num_batches = len(share)
        if self.is_sharded and num_batches * args.world_size < len(batches):
            # Every process must run the model as often as the first one, which has the most batches.
            share.append(batches[0])
        loader = self.build_loader(development_set.dataset, share, development_set.collator)

        def prepare() -> Iterator[dict[str, Any]]:
            for batch in loader:
                yield self._prepare_inputs(batch)
                self.control = self.callback_handler.on_prediction_step(args, self.state, self.control)

        results = measure(
            self.objective,
            self.model,
            prepare(),
            num_batches=num_batches,
            device=args.device,
            scorer=development_set.scorer,
        )
        if args.world_size > 1:
            results.sums, results.counts = self._sum_over_processes(torch.stack([results.sums, results.counts]))
            results.rows = gather_object(results.rows)
        return results.describe(self.objective, development_set.scorer)

    def evaluated_at_end(self) -> dict[str, float] | None:
        """Figures of the last evaluation, if no update followed it."""
        if self._last_metrics is None or self._last_metrics[0] != self.state.global_step:
            return None
        return self._last_metrics[1]
