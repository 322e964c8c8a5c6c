# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of runs over a mixture of tasks: pre-training of Mu2SLAM and of mSLAM, on tables or on streams."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from mu2slam_hf.data.sampling.mixture_report import format_mixture
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.mixture import build_mixture, build_mixture_development_sets
from mu2slam_hf.recipes.data.records import Records, load_records
from mu2slam_hf.recipes.data.streams import StreamedCorpus, declared_languages, look_at_streams
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.run import Run, assemble_trainer, build_arguments
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.trainer import MultitaskTrainer

PROCESSOR_FOLDER = "processor"
"""Sub-folder of a run to which the first process saves the processor for the others."""


class MixtureRun(Run):
    """A run whose batches contain a share of every task.

    Attributes:
        reads_audio: whether batches are made of the waveforms of recordings.
    """

    recipe: MixtureRecipe
    reads_audio: ClassVar[bool] = True

    def __init__(self, recipe: MixtureRecipe) -> None:
        super().__init__(recipe)
        # Streamed corpora by name: the processor and the trainer share them, and with them what was measured.
        self._opened: dict[str, StreamedCorpus] = {}

    def load_data(self) -> Records:
        """Records of all corpora; none if they are streamed."""
        return {} if self.recipe.data.streaming else load_records(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Mu2SLAMProcessor:
        """The processor: of the checkpoint that is resumed, of `init_from`, or new.

        Only the first process of a run builds a new one; the others load it. All have therefore the same tokenizer,
        whose training may depend on threads, and only one reads the beginning of the streams.
        """
        recipe = self.recipe
        if self.checkpoint or recipe.processor.init_from or recipe.model.init_from:
            if recipe.processor.add_languages and recipe.data.streaming:
                raise RecipeError(
                    "processor.add_languages: not supported with data.streaming, because the characters of a "
                    "stream are unknown; use tables"
                )
            processor = build_processor(recipe, data, self.processor_checkpoint, self.growths)
            return self.complete_processor(processor, is_new=False)
        args = build_arguments(recipe)
        folder = Path(recipe.output.dir) / PROCESSOR_FOLDER
        with args.main_process_first(local=False, desc="building the processor"):
            if args.world_size > 1 and args.process_index > 0:
                return Mu2SLAMProcessor.from_pretrained(folder)
            if recipe.data.streaming:
                data = look_at_streams(recipe, self._opened)
                languages = recipe.processor.languages or declared_languages(recipe, data)
                recipe = replace(recipe, processor=replace(recipe.processor, languages=languages))
            processor = self.complete_processor(build_processor(recipe, data), is_new=True)
            if args.world_size > 1:
                processor.save_pretrained(folder)
        return processor

    def complete_processor(self, processor: Mu2SLAMProcessor, *, is_new: bool) -> Mu2SLAMProcessor:
        """The processor with the additional parts of a kind of run."""
        return processor

    def build_development_metrics(self, records: Records, processor: Any) -> Callable[[Any], dict[str, float]] | None:
        """Figures of a kind of run besides losses, of development records.

        Raises:
            RecipeError: figures of generated text are wanted of a model that does not generate.
        """
        if self.recipe.evaluation.generate_examples:
            raise RecipeError("evaluation.generate_examples: a run of this kind does not generate text; set it to 0")
        return None

    @abstractmethod
    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, *, masking: Any = None) -> Any:
        """The collator of training; `masking` overrides the recipe's."""

    def build_development_collator(self, processor: Mu2SLAMProcessor, model: Any) -> Any:
        """The collator of development batches, which do not belong to an update: they have the full masking."""
        return self.build_collator(processor, model, masking=replace(self.recipe.masking, schedule="constant"))

    @abstractmethod
    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> Objective:
        """The objective of a kind of run, with the weights of the recipe."""

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer with its mixture of tasks and development sets."""
        args = build_arguments(self.recipe)
        dataset, sampler = build_mixture(
            self.recipe, processor, data, args, self._opened, reads_audio=self.reads_audio
        )
        development = load_records(self.recipe.evaluation.corpora, "evaluation.corpora")
        trainer = assemble_trainer(
            model,
            args,
            processor,
            objective=self.build_objective(processor, model),
            dataset=dataset,
            sampler=sampler,
            collator=self.build_collator(processor, model),
            development_sets=build_mixture_development_sets(
                self.recipe,
                development,
                processor,
                partial(self.build_development_collator, processor, model),
                reads_audio=self.reads_audio,
            ),
            development_metrics=self.build_development_metrics(development, processor),
        )
        if trainer.is_world_process_zero():
            print(format_mixture(sampler.summarize(), args.max_steps), flush=True)
        return trainer
