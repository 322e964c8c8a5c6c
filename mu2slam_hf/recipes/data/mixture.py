# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The mixture of tasks of a run, on tables or on streams: its examples, sampler and development sets."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers.utils import logging

from mu2slam_hf.data.examples.builder import ExampleBuilder, ExampleLimits
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.examples.token_counts import build_token_counter
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.mixture_config import PAPER_SHARES, MixtureConfig
from mu2slam_hf.data.sampling.stream_sampler import StreamBatchSampler
from mu2slam_hf.data.sampling.tables import TableBatchSampler
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.records import Records, build_audio_cache
from mu2slam_hf.recipes.data.streams import StreamedCorpus, build_sources
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.development import DevelopmentSet

logger = logging.get_logger(__name__)


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
        _check_languages(recipe, task, {lang for name in names for r in records[name] for lang in _languages_of(r)})
        builder = _build_example_builder(recipe, task, count_tokens)
        try:
            examples += builder.build(record for name in names for record in records[name])
        except ValueError as error:
            raise RecipeError(f"data.tasks.{task}: {error}") from error
        for reason, count in builder.left_out.items():
            logger.warning(f"data.tasks.{task}: {count} left out: {reason}")
    return examples


def _languages_of(record: SpeechTextRecord) -> Iterator[str]:
    yield record.lang
    yield from record.translations


def _check_languages(recipe: MixtureRecipe, task: str, present: Collection[str]) -> None:
    """Raises RecipeError for languages of a task that no corpus has."""
    missing = [code for code in recipe.data.tasks[task].languages if canonical_language(code) not in present]
    if missing:
        raise RecipeError(
            f"data.tasks.{task}.languages: no corpus of the task has {', '.join(missing)}; they have "
            f"{', '.join(sorted(present))}"
        )


def _build_example_builder(recipe: MixtureRecipe, task: str, count_tokens: Callable[[str], int]) -> ExampleBuilder:
    return ExampleBuilder(
        tasks=[task],
        one_target=True,
        languages=recipe.data.languages_of(task) or None,
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
    *,
    reads_audio: bool = True,
) -> tuple[ExampleDataset, TableBatchSampler | StreamBatchSampler]:
    """The data set of this process and the sampler of its batches, over tables or over streams.

    Args:
        recipe: the run.
        processor: its processor.
        records: records of tables, by corpus.
        args: arguments with the place of this process.
        opened: streamed corpora that the run has opened before, by name.
        reads_audio: see `ExampleDataset`.

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
        cache=build_audio_cache(recipe, records) if reads_audio else None,
        seed=seed,
        max_failed_share=data.max_failed_share,
        reads_audio=reads_audio,
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
        for task in mixture.tasks:
            _check_languages(recipe, task, {source.lang for source in sources if source.task == task})
        sources = [s for s in sources if not data.tasks[s.task].languages or s.lang in data.languages_of(s.task)]
        return dataset, StreamBatchSampler(
            sources, mixture, builders=builders, failures=dataset.failures, seed=seed, **args.place
        )
    except ValueError as error:
        raise error if isinstance(error, RecipeError) else RecipeError(f"data: {error}") from error


def build_mixture_development_sets(
    recipe: MixtureRecipe,
    development: Records,
    processor: Mu2SLAMProcessor,
    build_collator: Callable[[], Any],
    *,
    reads_audio: bool = True,
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
            # Also of languages on which a task is not trained.
            builder = replace(builder, limits=limits, translations_as_texts=False, languages=data.languages or None)
            try:
                examples += builder.build(records)
            except ValueError:
                logger.warning(f"evaluation.corpora.{name}: has no example of {task}")
        sets[name] = DevelopmentSet(
            dataset=ExampleDataset(
                examples,
                DrawOptions(undetermined_source_ratio=data.undetermined_source_ratio),
                seed=recipe.training.seed,
                reads_audio=reads_audio,
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
