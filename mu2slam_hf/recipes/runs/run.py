# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The steps of a training run and the files that it writes."""

import importlib.util
import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import TrainerCallback
from transformers.utils import logging

from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.checkpoints.folders import copy_licence
from mu2slam_hf.growth.languages import LanguageGrowth
from mu2slam_hf.locks import locked_folder
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.runs.recipe_changes import RECIPE_FILE, check_resumable
from mu2slam_hf.recipes.schema.loader import RecipeError, dump_recipe
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.checkpoints import (
    INCOMPLETE_PREFIX,
    all_or_nothing,
    find_intact_checkpoint,
    list_checkpoints,
    publish_checkpoint,
)
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)


class RecipeRun(ABC):
    """The training of one kind of recipe.

    Attributes:
        recipe_class: class attribute, the dataclass of recipes of this kind; its field `kind` is the name of the
            kind.
        recipe: the recipe.

    Args:
        recipe: an instance of `recipe_class`.
    """

    recipe_class: ClassVar[type]

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe

    @abstractmethod
    def run(self) -> dict[str, float]:
        """Train, or continue what was interrupted, and save the result; returns its metrics."""


class Run(RecipeRun):
    """The training of a model, with a trainer.

    Every kind has the same steps::

        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)

    Attributes:
        checkpoint: folder of the checkpoint to resume from, None for a new run.

    Args:
        recipe: an instance of `recipe_class`.

    Raises:
        RecipeError: the checkpoint is of a run with other values, see `check_resumable`.
    """

    def __init__(self, recipe: Any) -> None:
        super().__init__(recipe)
        self.checkpoint = find_resume_checkpoint(recipe)
        self.changes = [] if self.checkpoint is None else check_resumable(recipe)
        # What `build_processor` has added to a loaded processor, for `build_model`.
        self.growths: list[LanguageGrowth] = []

    @property
    def model_recipe(self) -> Any:
        """The recipe for `build_model_of`: a model with added languages is resumed from its checkpoint, not grown."""
        if self.checkpoint is None or not self.recipe.processor.add_languages:
            return self.recipe
        return replace(self.recipe, model=replace(self.recipe.model, init_from=self.checkpoint))

    @property
    def processor_checkpoint(self) -> str | None:
        """Checkpoint that has the processor, if the run is resumed."""
        return self.checkpoint

    @abstractmethod
    def load_data(self) -> Any:
        """Training data for the other steps."""

    @abstractmethod
    def build_processor(self, data: Any) -> Mu2SLAMProcessor:
        """The processor: that of the checkpoint, of `init_from`, or a new one built from the data."""

    @abstractmethod
    def build_model(self, processor: Mu2SLAMProcessor, data: Any = None) -> nn.Module:
        """The model in float32: new, or with the weights given in the recipe."""

    @abstractmethod
    def build_collator(self, processor: Mu2SLAMProcessor, model: Any) -> Any:
        """A collator with its own counters; called once for training and once for each development set."""

    @abstractmethod
    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Any) -> MultitaskTrainer:
        """The trainer with its sampler, objective, development sets and console."""

    def run(self, console: TrainerCallback | None = None) -> dict[str, float]:
        """Run all steps.

        Args:
            console: shows the progress in place of the trainer's lines and tables.

        Returns:
            The metrics of the last evaluation, also in `results.json` of the final folder.

        Raises:
            ValueError: another run writes the output folder.
        """
        is_first = int(os.environ.get("RANK", "0")) == 0
        with locked_folder(self.recipe.output.dir) if is_first else nullcontext():
            data = self.load_data()
            processor = self.build_processor(data)
            model = self.build_model(processor, data)
            trainer = self.build_trainer(processor, model, data)
            if console is not None:
                trainer.show_progress(console)
            return self.train(trainer)

    def train(self, trainer: MultitaskTrainer) -> dict[str, float]:
        """Train from the checkpoint on, select the final weights, evaluate them and save everything.

        The folder of the final model is renamed to its name when it is complete, like a checkpoint.
        """
        if trainer.is_world_process_zero():
            if self.changes:
                logger.warning(
                    f"{self.checkpoint} is resumed with changed values: {', '.join(map(str, self.changes))}"
                )
            save_recipe(self.recipe, self.recipe.output.dir)
        trainer.train(resume_from_checkpoint=self.checkpoint)
        results = self.measure(trainer, has_other_weights=self._choose_weights(trainer))
        model = trainer.whole_model()
        if model is not None:
            results |= self.test(model, trainer.processing_class)
            self.save_final(model, trainer.processing_class, results)
        trainer.accelerator.wait_for_everyone()
        return results

    def measure(self, trainer: MultitaskTrainer, *, has_other_weights: bool) -> dict[str, float]:
        """Metrics of the final weights on the development corpora, by all processes.

        Args:
            trainer: trainer with the weights.
            has_other_weights: whether they are not those of the last update and must be evaluated again.
        """
        if not self.recipe.evaluation.corpora:
            return {}
        return (None if has_other_weights else trainer.evaluated_at_end()) or trainer.evaluate()

    def test(self, model: nn.Module, processor: Mu2SLAMProcessor) -> dict[str, float]:
        """Further metrics of the final model, by the first process only."""
        return {}

    def save_extra_files(self, model: nn.Module, processor: Mu2SLAMProcessor, folder: Path) -> None:  # noqa: B027
        """Write further files into the final folder; none by default."""

    def save_final(self, model: Any, processor: Mu2SLAMProcessor, results: dict[str, float]) -> Path:
        """Write the final model, its processor, the recipe and the metrics of its evaluation."""
        final = final_folder(self.recipe)
        incomplete = final.with_name(INCOMPLETE_PREFIX + final.name)
        shutil.rmtree(incomplete, ignore_errors=True)
        with all_or_nothing(incomplete, final):
            if self.recipe.output.dtype == "bfloat16":
                round_weights(model)
            model.save_pretrained(incomplete)
            self.save_extra_files(model, processor, incomplete)
            processor.save_pretrained(incomplete)
            save_recipe(self.recipe, incomplete)
            copy_licence(self.recipe.model.init_from, incomplete)
            (incomplete / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            publish_checkpoint(incomplete, final)
        return final

    def _choose_weights(self, trainer: MultitaskTrainer) -> bool:
        """Load averaged or best weights if the recipe requests them; returns whether they differ from the last."""
        training = self.recipe.training
        newest = list_checkpoints(self.recipe.output.dir)[-training.average_last :]
        if training.average_last > 1:
            trainer.load_averaged_weights(newest)
            if not training.load_best_model_at_end or trainer.improves_on_best(trainer.evaluate()):
                return True
        if training.load_best_model_at_end:
            trainer.load_best_checkpoint()
            return training.average_last > 1 or bool(trainer.state.best_global_step != trainer.state.global_step)
        return False


def assemble_trainer(
    model: nn.Module,
    args: MultitaskTrainingArguments,
    processor: Mu2SLAMProcessor,
    *,
    dataset: Any,
    sampler: Any,
    collator: Any,
    **kwargs: Any,
) -> MultitaskTrainer:
    """Build the trainer; its logs have the numbers of unreadable recordings and of transcripts too long for CTC.

    Args:
        model: model of `Run.build_model`.
        args: arguments of `build_arguments`.
        processor: processor that is saved with the model.
        dataset: data set with `failures`.
        sampler: sampler of this process's batches.
        collator: collator of the batches; one of transcripts has `num_ctc_too_long`.
        kwargs: objective and development sets, see `MultitaskTrainer`.
    """
    counters: dict[str, Callable[[], int]] = {"unreadable_recordings": lambda: dataset.failures.failures}
    if hasattr(collator, "num_ctc_too_long"):
        counters["ctc_too_long"] = lambda: collator.num_ctc_too_long
    return MultitaskTrainer(
        model,
        args,
        train_dataset=dataset,
        train_batch_sampler=sampler,
        data_collator=collator,
        counters=counters,
        processing_class=processor,
        **kwargs,
    )


def final_folder(recipe: Any) -> Path:
    """Folder of the final model, or of the tokenizer."""
    output = recipe.output
    return Path(output if isinstance(output, str) else output.final or os.path.join(output.dir, "final"))


def find_resume_checkpoint(recipe: Any) -> str | None:
    """Newest intact checkpoint of the output folder, if `training.resume` is set; see `find_intact_checkpoint`."""
    if not recipe.training.resume:
        return None
    newest = find_intact_checkpoint(recipe.output.dir)
    return None if newest is None else str(newest)


def save_recipe(recipe: Any, folder: str | Path) -> None:
    """Write `recipe.yaml` with all defaults, and `run.json` with the commit and the versions of packages."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Other processes of the run read it at the same time.
    with atomic_path(folder / RECIPE_FILE) as temporary:
        Path(temporary).write_text(dump_recipe(recipe), encoding="utf-8")
    run = {"commit": find_commit(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    (folder / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def find_commit() -> str | None:
    """Hash of the checked-out commit, with `-dirty` if tracked files were changed; None outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None


def round_weights(model: Any) -> None:
    """Convert to bfloat16, except modules that stay in float32 (rounding the quantizer of mSLAM would change ids)."""
    kept = set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not kept & set(name.split(".")):
            tensor.data = tensor.data.to(torch.bfloat16)


def build_arguments(recipe: Any, max_steps: int | None = None) -> MultitaskTrainingArguments:
    """Training arguments of a recipe.

    Args:
        recipe: recipe of any kind.
        max_steps: total number of updates; None for `training.max_steps`.

    Raises:
        RecipeError: the number of updates is not given.
    """
    training = recipe.training
    if (max_steps or training.max_steps) is None:
        raise RecipeError("training.max_steps: is required")
    known = {item.name for item in fields(MultitaskTrainingArguments)}
    values = {name: value for name, value in (vars(training) | vars(recipe.optim)).items() if name in known}
    wants_best = values.pop("load_best_model_at_end")
    evaluate = training.eval_steps > 0 and bool(recipe.evaluation.corpora)
    return MultitaskTrainingArguments(
        **values
        | {
            "output_dir": recipe.output.dir,
            "max_steps": max_steps or training.max_steps,
            "use_cpu": training.use_cpu or not torch.cuda.is_available(),
            "eval_strategy": "steps" if evaluate else "no",
            "eval_steps": training.eval_steps if evaluate else None,
            # With a limit of 1 the Trainer would keep only the best checkpoint, not the last one, and a restart would
            # train again.
            "save_total_limit": max(training.save_total_limit, training.average_last, 2 if wants_best else 1),
            # The metric of a head includes the name of its corpus. `Run.train` loads the best weights.
            "metric_for_best_model": getattr(recipe, "best_figure", training.metric_for_best_model)
            if wants_best
            else None,
            "greater_is_better": training.greater_is_better if wants_best else None,
            "report_to": choose_integrations(training.report_to) or "none",
            "logging_nan_inf_filter": False,
            "remove_unused_columns": False,
            # Objectives train without a cache. False would be saved in the configuration, and slow generation down.
            "use_cache": True,
        }
    )


def choose_integrations(names: list[str] | None) -> list[str]:
    """Integrations for the logs; by default TensorBoard, if it is installed.

    Raises:
        ImportError: TensorBoard is asked for and not installed.
    """
    has_tensorboard = importlib.util.find_spec("tensorboard") is not None
    if names is None:
        return ["tensorboard"] if has_tensorboard else []
    if "tensorboard" in names and not has_tensorboard:
        raise ImportError("report_to: [tensorboard] requires tensorboard: pip install 'mu2slam-hf[train]'")
    return names
