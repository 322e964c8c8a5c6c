# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints from which a run resumes exactly: it ends with the same weights, bit for bit, as an uninterrupted one.

This requires the sampler's own state instead of skipping data by reading it, a loader that does not draw from the
global random state, and checkpoints that are renamed to their final name when they are complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import Seq2SeqTrainer
from transformers.trainer_callback import ExportableState, TrainerState
from transformers.trainer_utils import TrainOutput
from transformers.utils import logging

from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.batch_tracking import TrackedBatchSampler
from mu2slam_hf.training.checkpoints import (
    INCOMPLETE_PREFIX,
    all_or_nothing,
    average_checkpoints,
    check_parts,
    clear_incomplete,
    find_intact_checkpoint,
    list_parts,
    publish_checkpoint,
    rotate_checkpoints,
)
from mu2slam_hf.training.early_stopping import EarlyStopping

logger = logging.get_logger(__name__)

PROGRESS_NAME = "data_progress.json"
RANK_PROGRESS_NAME = "data_progress_{rank}.json"
TRAINER_STATE_NAME = "trainer_state.json"


class ResumeMixin(Seq2SeqTrainer):
    """The part of a trainer that reads and writes checkpoints, and continues from them."""

    args: MultitaskTrainingArguments
    tracked_sampler: TrackedBatchSampler | None

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train to `max_steps`; a checkpoint that has reached it is only loaded.

        Args:
            resume_from_checkpoint: folder of a checkpoint, True for the newest intact one (an error if there is
                none), or None.
            args: passed to the parent.
            kwargs: passed to the parent.
        """
        if resume_from_checkpoint is True:
            newest = find_intact_checkpoint(self.args.output_dir)
            if newest is None:
                raise ValueError(f"{self.args.output_dir} has no complete checkpoint to resume from.")
            resume_from_checkpoint = str(newest)
        if self.is_world_process_zero():
            clear_incomplete(self.args.output_dir)
        if isinstance(resume_from_checkpoint, str):
            check_parts(resume_from_checkpoint)
            state = TrainerState.load_from_json(os.path.join(resume_from_checkpoint, TRAINER_STATE_NAME))
            stopping = [
                callback for callback in self.callback_handler.callbacks if isinstance(callback, EarlyStopping)
            ]
            if state.global_step >= self.args.max_steps or any(callback.should_stop(state) for callback in stopping):
                logger.warning(f"{resume_from_checkpoint} is the end of its run: nothing to train.")
                self._load_from_checkpoint(resume_from_checkpoint)
                self.state = state
                return TrainOutput(state.global_step, 0.0, {})
        return super().train(resume_from_checkpoint or None, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Loader over the batches of the sampler; accelerate does not wrap it, since the sampler shards by rank."""
        if self.train_dataset is None or self.tracked_sampler is None:
            raise ValueError("Training requires train_dataset and train_batch_sampler.")
        return self.build_loader(self.train_dataset, self.tracked_sampler, self.data_collator, keep_workers=True)

    def build_loader(
        self, dataset: Any, batch_sampler: Any, collator: Callable[[list[Any]], Any], *, keep_workers: bool = False
    ) -> DataLoader:
        """A loader with its own generator, which does not change the global random state.

        The loader draws a base seed at every start. Drawn from the global state, it would change dropout after a
        resume, which starts one more loader.
        """
        num_workers = self.args.dataloader_num_workers
        return DataLoader(
            dataset,
            batch_sampler=batch_sampler,
            collate_fn=collator,
            num_workers=num_workers,
            persistent_workers=num_workers > 0 and keep_workers,
            prefetch_factor=(self.args.dataloader_prefetch_factor or 4) if num_workers > 0 else None,
            pin_memory=self.args.dataloader_pin_memory and self.args.device.type == "cuda",
            generator=torch.Generator().manual_seed(self.args.seed),
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the parent, with `epoch` as the share of the run: the parent's count would restart after a resume."""
        self.state.epoch = self.state.global_step / self.args.max_steps
        super().log(logs, start_time)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        """As the parent; the state of the sampler is loaded too."""
        if resume_from_checkpoint is not None and self.tracked_sampler is not None:
            progress = _read_json(Path(resume_from_checkpoint) / PROGRESS_NAME)
            self.tracked_sampler.load_state_dict(self._read_sampler_state(Path(resume_from_checkpoint), progress))
        return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)

    def _read_sampler_state(self, checkpoint: Path, progress: dict[str, Any]) -> dict[str, Any]:
        stored = int(progress.get("num_rank_states", 0))
        if not stored:
            return dict(progress["sampler"])
        ranks = [self.args.process_index] if stored == self.args.world_size else range(stored)
        states = [_read_json(checkpoint / RANK_PROGRESS_NAME.format(rank=rank)) for rank in ranks]
        if stored == self.args.world_size:
            return states[0]
        logger.warning(
            f"{checkpoint} has the positions of {stored} processes in their streams, and there are "
            f"{self.args.world_size} now: these read what was left of each epoch. An update has "
            f"{self.args.world_size * self.args.gradient_accumulation_steps} micro-batches now, and had "
            f"{stored * int(states[0].get('batches_per_step', 1))}."
        )
        assert self.tracked_sampler is not None
        return self.tracked_sampler.sampler.state_from_ranks(states)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """As the parent, but tied weights are not reported as missing: they are stored once, under one name."""
        tied = getattr(self.model, "all_tied_weights_keys", None) or {}
        missing = [key for key in load_result.missing_keys if key not in tied]
        super()._issue_warnings_after_load(type(load_result)(missing, load_result.unexpected_keys))

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """As the parent; the best checkpoint so far is saved at once.

        Raises:
            ValueError: the evaluation has no figure named `metric_for_best_model`.
        """
        try:
            is_new_best = super()._determine_best_metric(metrics, trial)
        except KeyError as error:
            known = ", ".join(sorted(name.removeprefix("eval_") for name in metrics))
            raise ValueError(
                f"The best checkpoint is to be kept by {self.args.metric_for_best_model!r}, but the evaluation gives "
                f"only {known}."
            ) from error
        if is_new_best:
            self.control.should_save = True
        return is_new_best

    def load_best_checkpoint(self) -> Path:
        """Replace the weights by those of the best checkpoint of the run.

        Raises:
            ValueError: there was no evaluation to compare checkpoints, or the best one no longer exists.
        """
        step = self.state.best_global_step
        folder = Path(self.args.output_dir) / f"checkpoint-{step}"
        if not step or not folder.is_dir():
            raise ValueError(
                f"{self.args.output_dir} has no best checkpoint"
                + (f": checkpoint-{step} no longer exists." if step else ": no evaluation had metric_for_best_model.")
            )
        self.state.best_model_checkpoint = str(folder)
        self._load_best_model()
        return folder

    def load_averaged_weights(self, checkpoints: Sequence[str | Path]) -> None:
        """Replace the weights by the mean of those of several checkpoints of this run.

        Args:
            checkpoints: folders; adapters are averaged if the model has adapters.
        """
        averaged = average_checkpoints(checkpoints)
        if hasattr(self.model, "peft_config"):
            self.model.load_adapter_weights(averaged)
        else:
            self.load_whole_weights(averaged)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write all parts into a hidden folder, then rename it: a folder named `checkpoint-N` is complete."""
        output_dir = Path(self._get_output_dir(trial=trial))
        final = output_dir / f"checkpoint-{self.state.global_step}"
        incomplete = output_dir / f"{INCOMPLETE_PREFIX}{final.name}"
        with all_or_nothing(incomplete, final):
            self._write_checkpoint(incomplete, final)

    def _write_checkpoint(self, incomplete: Path, final: Path) -> None:
        self.store_flos()
        if self.args.should_save:
            shutil.rmtree(incomplete, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.save_model(str(incomplete), _internal_call=True)
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(str(incomplete))
            self._save_scaler(str(incomplete))
            self._save_rng_state(str(incomplete))
        progress: dict[str, Any] = {}
        self._write_sampler_state(incomplete, progress)
        # All processes have written their files before the first one renames the folder.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            if self.state.best_global_step:
                best = final.with_name(f"checkpoint-{self.state.best_global_step}")
                self.state.best_model_checkpoint = str(best) if best == final or best.is_dir() else None
            self._store_callback_states()
            self.state.save_to_json(str(incomplete / TRAINER_STATE_NAME))
            (incomplete / PROGRESS_NAME).write_text(json.dumps(progress, indent=1), encoding="utf-8")
            list_parts(incomplete)
            publish_checkpoint(incomplete, final)
            best_checkpoint = self.state.best_model_checkpoint
            rotate_checkpoints(final.parent, self.args.save_total_limit, [best_checkpoint] if best_checkpoint else [])
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(final))

    def _write_sampler_state(self, incomplete: Path, progress: dict[str, Any]) -> None:
        """Write it into `progress`, or into a file of this process if each has its own state."""
        if self.tracked_sampler is None:
            return
        if not self.tracked_sampler.state_is_per_rank:
            progress["sampler"] = self.tracked_sampler.state_dict()
            return
        progress["num_rank_states"] = self.args.world_size
        incomplete.mkdir(parents=True, exist_ok=True)
        path = incomplete / RANK_PROGRESS_NAME.format(rank=self.args.process_index)
        path.write_text(json.dumps(self.tracked_sampler.state_dict()), encoding="utf-8")

    def _store_callback_states(self) -> None:
        """Put the state of every exportable callback into the trainer state, as the parent does."""
        for callback in [*self.callback_handler.callbacks, self.control]:
            if not isinstance(callback, ExportableState):
                continue
            name = type(callback).__name__
            stored = self.state.stateful_callbacks.get(name)
            if isinstance(stored, list):
                stored.append(callback.state())
            else:
                self.state.stateful_callbacks[name] = callback.state()


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} is missing, so the data cannot continue from the position of the checkpoint.")
    return dict(json.loads(path.read_text(encoding="utf-8")))
