# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Base of runs over a mixture of tasks: pre-training of Mu2SLAM and of mSLAM, on tables or on streams."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers.utils import logging

from mu2slam_hf.data.examples.builder import ExampleBuilder, ExampleLimits
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.sampling.mixture_config import PAPER_SHARES, MixtureConfig
from mu2slam_hf.data.sampling.mixture_report import format_mixture
from mu2slam_hf.data.sampling.stream_sampler import StreamBatchSampler
from mu2slam_hf.data.sampling.tables import TableBatchSampler
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.arguments import build_arguments
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe
from mu2slam_hf.recipes.processors import build_processor, build_token_counter
from mu2slam_hf.recipes.records import Records, build_audio_cache, load_records
from mu2slam_hf.recipes.run import Run, assemble_trainer
from mu2slam_hf.recipes.streamed_corpora import StreamedCorpus
from mu2slam_hf.recipes.streams import build_sources, declared_languages, look_at_streams
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.objectives.objective import Objective
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)

PROCESSOR_FOLDER = "processor"
"""Sub-folder of a run to which the first process saves the processor for the others."""


class MixtureRun(Run):
    """A run whose batches contain a share of every task."""

    recipe: MixtureRecipe

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
                    "processor.add_languages: streams do not tell their characters in advance; use tables"
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
    def build_collator(self, processor: Mu2SLAMProcessor, model: Any, masking: Any = None) -> Any:
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
        dataset, sampler = build_mixture(self.recipe, processor, data, args, self._opened)
        development = load_records(self.recipe.evaluation.corpora, "evaluation.corpora")
        trainer = assemble_trainer(
            model,
            args,
            processor,
            objective=self.build_objective(processor, model),
            dataset=dataset,
            sampler=sampler,
            collator=self.build_collator(processor, model),
            development_sets=build_development_sets(
                self.recipe, development, processor, partial(self.build_development_collator, processor, model)
            ),
            development_metrics=self.build_development_metrics(development, processor),
        )
        if trainer.is_world_process_zero():
            print(format_mixture(sampler.summarize(), args.max_steps), flush=True)
        return trainer


def build_mixture_config(recipe: MixtureRecipe) -> MixtureConfig:
    """Shares, temperatures, corpus weights and budgets of a recipe."""
    data = recipe.data
    shares = {
        task: PAPER_SHARES[task] if section.share is None else section.share for task, section in data.tasks.items()
    }
    temperatures = {task: section.temperature for task, section in data.tasks.items()}
    # A corpus with weight 0 has no examples, and the mixture does not accept corpora without examples.
    weights = {
        task: {name: weight for name, weight in section.corpus_weights.items() if weight != 0}
        for task, section in data.tasks.items()
        if shares[task]
    }
    try:
        return MixtureConfig(
            shares=shares,
            temperatures={task: value for task, value in temperatures.items() if value is not None},
            corpus_weights=weights,
            max_seconds=data.max_seconds,
            max_tokens=data.max_tokens,
        )
    except (ValueError, StrictDataclassError) as error:
        raise RecipeError(f"data: {error}") from error


def build_task_examples(
    recipe: MixtureRecipe, records: Records, tasks: Sequence[str], tokenizer: Any
) -> list[Example]:
    """Examples of the tasks, each from its corpora; those left out are counted and logged.

    Raises:
        RecipeError: a task has no example.
    """
    count_tokens = build_token_counter(tokenizer)
    examples: list[Example] = []
    for task in tasks:
        names = [name for name, weight in recipe.data.tasks[task].corpus_weights.items() if weight > 0]
        builder = _build_example_builder(recipe, task, count_tokens)
        try:
            examples += builder.build(record for name in names for record in records[name])
        except ValueError as error:
            raise RecipeError(f"data.tasks.{task}: {error}") from error
        for reason, count in builder.left_out.items():
            logger.warning(f"data.tasks.{task}: {count} left out: {reason}")
    return examples


def _build_example_builder(recipe: MixtureRecipe, task: str, count_tokens: Callable[[str], int]) -> ExampleBuilder:
    return ExampleBuilder(
        tasks=[task],
        one_target=True,
        languages=recipe.data.languages or None,
        count_tokens=count_tokens,
        limits=recipe.data.limits,
        translations_as_texts=recipe.data.translations_as_texts,
    )


def build_mixture(
    recipe: MixtureRecipe,
    processor: Mu2SLAMProcessor,
    records: Records,
    args: MultitaskTrainingArguments,
    opened: dict[str, StreamedCorpus] | None = None,
) -> tuple[ExampleDataset, TableBatchSampler | StreamBatchSampler]:
    """The data set of this process and the sampler of its batches, over tables or over streams.

    Args:
        recipe: the run.
        processor: its processor.
        records: records of tables, by corpus.
        args: arguments with the place of this process.
        opened: streamed corpora that the run has opened before, by name.

    Raises:
        RecipeError: a task has no example, an example exceeds a batch, or sizes of streams are not comparable.
    """
    data, seed = recipe.data, recipe.training.seed
    mixture = build_mixture_config(recipe)
    examples: list[Example] = []
    if not data.streaming:
        examples = build_task_examples(recipe, records, mixture.tasks, processor.tokenizer)
    dataset = ExampleDataset(
        examples,
        DrawOptions(undetermined_source_ratio=data.undetermined_source_ratio),
        cache=build_audio_cache(recipe, records),
        seed=seed,
        max_failed_share=data.max_failed_share,
    )
    try:
        if not data.streaming:
            return dataset, TableBatchSampler(examples, mixture, seed=seed, **args.place)
        count_tokens = build_token_counter(processor.tokenizer)
        builders = {task: _build_example_builder(recipe, task, count_tokens) for task in mixture.tasks}
        sources = build_sources(
            recipe,
            mixture.tasks,
            rank=args.process_index,
            num_ranks=args.world_size,
            failures=dataset.failures,
            opened=opened,
        )
        return dataset, StreamBatchSampler(
            sources, mixture, builders=builders, failures=dataset.failures, seed=seed, **args.place
        )
    except ValueError as error:
        raise error if isinstance(error, RecipeError) else RecipeError(f"data: {error}") from error


def build_development_sets(
    recipe: MixtureRecipe, development: Records, processor: Mu2SLAMProcessor, build_collator: Callable[[], Any]
) -> dict[str, DevelopmentSet]:
    """All examples of all tasks of the development corpora, in batches of similar lengths."""
    section, data = recipe.evaluation, recipe.data
    limits = ExampleLimits(max_seconds=section.max_seconds, max_tokens=section.max_tokens // 2)
    count_tokens = build_token_counter(processor.tokenizer)
    sets = {}
    for name, records in development.items():
        examples: list[Example] = []
        for task in section.tasks:
            builder = _build_example_builder(recipe, task, count_tokens)
            try:
                examples += replace(builder, limits=limits, translations_as_texts=False).build(records)
            except ValueError:
                logger.warning(f"evaluation.corpora.{name}: has no example of {task}")
        sets[name] = DevelopmentSet(
            dataset=ExampleDataset(
                examples,
                DrawOptions(undetermined_source_ratio=data.undetermined_source_ratio),
                seed=recipe.training.seed,
            ),
            batches=plan_batches(examples, section.max_seconds, section.max_tokens),
            collator=build_collator(),
        )
    return sets


def plan_batches(examples: Sequence[Example], max_seconds: float, max_tokens: int) -> list[list[int]]:
    """Positions of all examples in batches within the bounds, short ones first; longer examples are alone."""
    order = sorted(range(len(examples)), key=lambda i: (examples[i].duration_seconds, examples[i].num_text_tokens))
    batches: list[list[int]] = []
    seconds = tokens = 0.0
    for index in order:
        seconds += examples[index].duration_seconds
        tokens += examples[index].num_text_tokens
        if not batches or seconds > max_seconds or tokens > max_tokens:
            batches.append([])
            seconds, tokens = examples[index].duration_seconds, examples[index].num_text_tokens
        batches[-1].append(index)
    return batches
