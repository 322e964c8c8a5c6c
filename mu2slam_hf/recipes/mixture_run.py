# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the runs over a mixture of tasks share: pre-training of Mu2SLAM and of mSLAM, on tables or on streams."""

from abc import abstractmethod
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mu2slam_hf.data.sampling.mixture_report import format_mixture
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.arguments import build_arguments
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe
from mu2slam_hf.recipes.mixtures import build_development_sets, build_mixture
from mu2slam_hf.recipes.processors import build_processor
from mu2slam_hf.recipes.records import Records, load_records
from mu2slam_hf.recipes.run import Run
from mu2slam_hf.recipes.streams import declared_languages, look_at_streams
from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.trainer import MultitaskTrainer

PROCESSOR_FOLDER = "processor"
"""Sub-folder of a run where its first process leaves the processor for the others."""


class MixtureRun(Run):
    """A run whose batches hold a share of every task."""

    recipe: MixtureRecipe

    def load_data(self) -> Records:
        """Records of all corpora; none where they are streamed."""
        return {} if self.recipe.data.streaming else load_records(self.recipe.data.corpora, "data.corpora")

    def build_processor(self, data: Records) -> Mu2SLAMProcessor:
        """The processor: of the checkpoint that is resumed, of `init_from`, or new.

        A new one is made by the first process of a run alone; the others read what it saved. So all have the same
        tokenizer, whatever the threads of its training did, and only one reads the beginning of the streams.
        """
        recipe = self.recipe
        if self.checkpoint or recipe.processor.init_from or recipe.model.init_from:
            return self.complete_processor(build_processor(recipe, data, self.checkpoint), is_new=False)
        args = build_arguments(recipe)
        folder = Path(recipe.output.dir) / PROCESSOR_FOLDER
        with args.main_process_first(local=False, desc="building the processor"):
            if args.world_size > 1 and args.process_index > 0:
                return Mu2SLAMProcessor.from_pretrained(folder)
            if recipe.data.streaming:
                data = look_at_streams(recipe)
                languages = recipe.processor.languages or declared_languages(recipe, data)
                recipe = replace(recipe, processor=replace(recipe.processor, languages=languages))
            processor = self.complete_processor(build_processor(recipe, data), is_new=True)
            if args.world_size > 1:
                processor.save_pretrained(folder)
        return processor

    def complete_processor(self, processor: Mu2SLAMProcessor, *, is_new: bool) -> Mu2SLAMProcessor:
        """The processor with what else the kind of run needs."""
        return processor

    @abstractmethod
    def build_objective(self, processor: Mu2SLAMProcessor, model: Any) -> Objective:
        """The losses of the kind with the weights of the recipe."""

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: Records) -> MultitaskTrainer:
        """The trainer with its mixture of tasks and development sets."""
        args = build_arguments(self.recipe)
        dataset, sampler = build_mixture(self.recipe, processor, data, args)
        build_collator = partial(self.build_collator, processor, model)
        collator = build_collator()
        trainer = MultitaskTrainer(
            model,
            args,
            objective=self.build_objective(processor, model),
            train_dataset=dataset,
            train_batch_sampler=sampler,
            data_collator=collator,
            development_sets=build_development_sets(self.recipe, processor, build_collator),
            counters={
                "unreadable_recordings": lambda: dataset.failures.failures,
                "ctc_too_long": lambda: collator.num_ctc_too_long,
            },
            processing_class=processor,
        )
        if trainer.is_world_process_zero():
            print(format_mixture(sampler.summarize(), args.max_steps), flush=True)
        return trainer
