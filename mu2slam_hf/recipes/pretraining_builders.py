# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recipe of pre-training to processor, examples, sampler and trainer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from transformers.utils import logging

from mu2slam_hf.data.audio import SAMPLING_RATE, AudioCache
from mu2slam_hf.data.collation.mu2slam import PretrainingCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.examples.pretraining_examples import (
    ExampleLimits,
    PretrainingExampleBuilder,
    build_pretraining_examples,
)
from mu2slam_hf.data.sampling.mixture_report import format_mixture, summarize_mixture
from mu2slam_hf.data.sampling.stream_mixture import StreamMixtureSampler
from mu2slam_hf.data.sampling.task_mixture import TaskMixtureSampler
from mu2slam_hf.data.sampling.task_shares import PAPER_SHARES, TaskMixtureConfig
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor, log_mel_extractor
from mu2slam_hf.quantization.tokenizer_loading import load_speech_tokenizer
from mu2slam_hf.recipes.builders import build_arguments, build_processor, use_own_console
from mu2slam_hf.recipes.data_builders import Records, build_token_counter, load_records
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.pretraining_schema import MixtureRecipe, PretrainingRecipe
from mu2slam_hf.recipes.stream_builders import build_sources, declared_languages, look_at_streams
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.callbacks import EvaluateAtEnd, LogFile
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.pretraining_trainer import PretrainingTrainer
from mu2slam_hf.training.trainer import MultitaskTrainer

logger = logging.get_logger(__name__)

TrainerT = TypeVar("TrainerT", bound=MultitaskTrainer)

PROCESSOR_FOLDER = "processor"
"""Sub-folder of a run where its first process leaves the processor for the others."""


def load_tables(recipe: MixtureRecipe) -> Records:
    """Records of all corpora; none where they are streamed."""
    return {} if recipe.data.streaming else load_records(recipe.data.corpora, "data.corpora")


def build_pretraining_processor(
    recipe: PretrainingRecipe, records: Records, checkpoint: str | None = None
) -> Mu2SLAMProcessor:
    """The processor with its speech codec, see `build_mixture_processor`.

    Raises:
        RecipeError: the speech codec does not fit the tokenizer.
    """

    def complete(processor: Mu2SLAMProcessor, is_new: bool) -> Mu2SLAMProcessor:
        return _add_speech_codec(recipe, processor, replace_codec=not is_new and checkpoint is None)

    return build_mixture_processor(recipe, records, checkpoint, complete)


def build_mixture_processor(
    recipe: MixtureRecipe,
    records: Records,
    checkpoint: str | None = None,
    complete: Callable[[Mu2SLAMProcessor, bool], Mu2SLAMProcessor] = lambda processor, is_new: processor,
) -> Mu2SLAMProcessor:
    """The processor: of the checkpoint that is resumed, of `init_from`, or new.

    A new one is made by the first process of a run alone; the others read what it saved. So all have the same
    tokenizer, whatever the threads of its training did, and only one looks into the streams.

    Args:
        recipe: the run.
        records: of `load_tables`.
        checkpoint: folder of the checkpoint to resume.
        complete: adds what else a processor needs; it is told whether the processor is new.
    """
    if checkpoint or recipe.processor.init_from or recipe.model.init_from:
        return complete(build_processor(recipe, records, checkpoint), False)
    args = build_arguments(recipe)
    folder = Path(recipe.output.dir) / PROCESSOR_FOLDER
    with args.main_process_first(local=False, desc="building the processor"):
        if args.world_size > 1 and args.process_index > 0:
            return Mu2SLAMProcessor.from_pretrained(folder)
        if recipe.data.streaming:
            if not recipe.processor.languages:
                recipe = replace(recipe, processor=replace(recipe.processor, languages=declared_languages(recipe)))
            records = look_at_streams(recipe)
        processor = complete(build_processor(recipe, records), True)
        if args.world_size > 1:
            processor.save_pretrained(folder)
    return processor


def _add_speech_codec(
    recipe: PretrainingRecipe, processor: Mu2SLAMProcessor, *, replace_codec: bool = False
) -> Mu2SLAMProcessor:
    section = recipe.speech_tokenizer
    if processor.speech_codec is None or (section.init_from is not None and replace_codec):
        processor.speech_codec = build_speech_tokenizer(recipe, processor)
    config, wanted = processor.speech_codec.config, processor.tokenizer.num_speech_tokens
    if config.reads_waveforms and processor.speech_codec.encoder.sampling_rate != SAMPLING_RATE:
        rate = processor.speech_codec.encoder.sampling_rate
        raise RecipeError(f"speech_tokenizer: hears {rate} Hz, but recordings are read at {SAMPLING_RATE} Hz")
    if (config.num_codevectors_per_group, config.num_codevector_groups) != (wanted, 1):
        raise RecipeError(
            f"speech_tokenizer: has {config.num_codevector_groups} codebooks of {config.num_codevectors_per_group} "
            f"entries, but the text tokenizer leaves room for one of {wanted} (processor.num_speech_tokens)"
        )
    return processor


def build_speech_tokenizer(recipe: PretrainingRecipe, processor: Mu2SLAMProcessor) -> SpeechTokenizerModel:
    """The frozen speech tokenizer that a recipe names.

    Raises:
        RecipeError: both a folder and a configuration, or a configuration that does not exist.
    """
    section = recipe.speech_tokenizer
    if section.init_from is not None:
        if section.config:
            raise RecipeError("speech_tokenizer: give either init_from or config")
        try:
            return load_speech_tokenizer(section.init_from, log_mel_extractor(processor.feature_extractor))
        except ValueError as error:
            raise RecipeError(f"speech_tokenizer.init_from: {error}") from error
    if section.kind != "random_projection":
        raise RecipeError(
            f"speech_tokenizer.init_from: a codebook of kind {section.kind!r} is trained; name its folder"
        )
    fixed = {
        "kind": section.kind,
        "num_mel_bins": log_mel_extractor(processor.feature_extractor).feature_size,
        "num_codevectors_per_group": processor.tokenizer.num_speech_tokens,
    }
    known = SpeechTokenizerConfig().to_dict().keys() - fixed.keys()
    unknown = sorted(set(section.config) - known)
    if unknown:
        raise RecipeError(f"speech_tokenizer.config.{unknown[0]}: unknown or set elsewhere")
    try:
        return SpeechTokenizerModel(SpeechTokenizerConfig(**section.config, **fixed))
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise RecipeError(f"speech_tokenizer.config: {error}") from error


def build_mixture_config(recipe: MixtureRecipe) -> TaskMixtureConfig:
    """Shares, temperatures, corpus weights and budgets of a recipe."""
    data = recipe.data
    shares = {
        task: PAPER_SHARES[task] if section.share is None else section.share for task, section in data.tasks.items()
    }
    temperatures = {task: section.temperature for task, section in data.tasks.items()}
    # Of a corpus with weight 0 no example is made, and the mixture does not know corpora without examples.
    weights = {
        task: {name: weight for name, weight in section.corpora.items() if weight != 0}
        for task, section in data.tasks.items()
        if shares[task]
    }
    try:
        return TaskMixtureConfig(
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
    """Examples of the tasks, each from its corpora; what is left out is counted and said.

    Raises:
        RecipeError: a task gets none.
    """
    examples: list[Example] = []
    for task in tasks:
        names = [name for name, weight in recipe.data.tasks[task].corpora.items() if weight > 0]
        builder = _build_example_builder(recipe, task, tokenizer)
        try:
            examples += builder.build(record for name in names for record in records[name])
        except ValueError as error:
            raise RecipeError(f"data.tasks.{task}: {error}") from error
        for reason, count in builder.left_out.items():
            logger.warning(f"data.tasks.{task}: {count} left out: {reason}")
    return examples


def _build_example_builder(recipe: MixtureRecipe, task: str, tokenizer: Any) -> PretrainingExampleBuilder:
    return PretrainingExampleBuilder(
        task=task,
        languages=recipe.data.languages or None,
        count_tokens=build_token_counter(tokenizer),
        limits=recipe.data.limits,
        translations_as_texts=recipe.data.translations_as_texts,
    )


def build_pretraining_trainer(
    recipe: PretrainingRecipe, processor: Mu2SLAMProcessor, model: Any, records: Records
) -> PretrainingTrainer:
    """The trainer with its mixture of tasks, development sets and console.

    Args:
        recipe: the run.
        processor: with a speech codec.
        model: `Mu2SLAMForPreTraining`.
        records: of `load_tables`.
    """
    build_trainer = partial(PretrainingTrainer, model, speech_tokenizer=processor.speech_codec)
    build_collator = partial(build_pretraining_collator, recipe, processor, model.config.encoder_config)
    return build_mixture_trainer(recipe, processor, records, build_trainer, build_collator)


def build_mixture_trainer(
    recipe: MixtureRecipe,
    processor: Mu2SLAMProcessor,
    records: Records,
    build_trainer: Callable[..., TrainerT],
    build_collator: Callable[[], Any],
) -> TrainerT:
    """A trainer with its mixture of tasks, development sets and console.

    Args:
        recipe: the run.
        processor: is saved with the model.
        records: of `load_tables`.
        build_trainer: makes the trainer of what this function hands over by name.
        build_collator: makes a collator with its own counts; called once for training and once for each
            development set.
    """
    args = build_arguments(recipe)
    dataset, sampler = build_mixture(recipe, processor, records, args)
    collator = build_collator()
    trainer = build_trainer(
        args=args,
        train_dataset=dataset,
        train_batch_sampler=sampler,
        data_collator=collator,
        development_sets=_build_development_sets(recipe, processor, build_collator),
        counters={
            "unreadable_recordings": lambda: dataset.failures.failures,
            "ctc_too_long": lambda: collator.num_ctc_too_long,
        },
        processing_class=processor,
        callbacks=[LogFile(), EvaluateAtEnd()],
    )
    use_own_console(trainer)
    if trainer.is_world_process_zero():
        print(format_mixture(summarize_mixture(sampler), args.max_steps), flush=True)
    return trainer


def build_mixture(
    recipe: MixtureRecipe, processor: Mu2SLAMProcessor, records: Records, args: MultitaskTrainingArguments
) -> tuple[ExampleDataset, TaskMixtureSampler | StreamMixtureSampler]:
    """The data set of this process and the sampler of its batches, over tables or over streams.

    Raises:
        RecipeError: a task gets no example, a batch cannot hold one, or streams have no comparable sizes.
    """
    data, seed = recipe.data, recipe.training.seed
    mixture = build_mixture_config(recipe)
    processes: dict[str, Any] = {
        "rank": args.process_index,
        "num_ranks": args.world_size,
        "batches_per_step": args.gradient_accumulation_steps,
    }
    examples: list[Example] = []
    if not data.streaming:
        examples = build_task_examples(recipe, records, mixture.tasks, processor.tokenizer)
    dataset = ExampleDataset(
        examples,
        DrawOptions(undetermined_source_ratio=data.undetermined_source_ratio),
        cache=_build_cache(recipe, records),
        seed=seed,
        max_failed_share=data.max_failed_share,
    )
    try:
        if not data.streaming:
            return dataset, TaskMixtureSampler(examples, mixture, seed=seed, **processes)
        builders = {task: _build_example_builder(recipe, task, processor.tokenizer) for task in mixture.tasks}
        sources = build_sources(
            recipe, mixture.tasks, rank=args.process_index, num_ranks=args.world_size, failures=dataset.failures
        )
        return dataset, StreamMixtureSampler(
            sources, mixture, builders=builders, failures=dataset.failures, seed=seed, **processes
        )
    except ValueError as error:
        raise error if isinstance(error, RecipeError) else RecipeError(f"data: {error}") from error


def build_pretraining_collator(
    recipe: PretrainingRecipe, processor: Mu2SLAMProcessor, encoder_config: Any = None
) -> PretrainingCollator:
    """The collator with the recipe's masks, for the front end that a configuration names."""
    return PretrainingCollator(
        processor,
        seed=recipe.training.seed,
        masking=recipe.masking,
        ctc_input=recipe.objective.ctc_input,
        max_row_length=recipe.data.max_row_length,
        encoder_config=encoder_config,
    )


def _build_cache(recipe: MixtureRecipe, records: Records) -> AudioCache | None:
    if not recipe.data.cache_audio or recipe.data.streaming:
        return None
    cache = AudioCache()
    if recipe.training.dataloader_num_workers > 0:
        # Before the loader forks: its processes then share one copy.
        spoken = [record for part in records.values() for record in part if record.audio is not None]
        cache.preload({record.key: record.audio for record in spoken})
    return cache


def _build_development_sets(
    recipe: MixtureRecipe, processor: Mu2SLAMProcessor, build_collator: Callable[[], Any]
) -> dict[str, DevelopmentSet]:
    """Every example of every task that a development corpus gives, in batches of about one length."""
    section, data = recipe.evaluation, recipe.data
    limits = ExampleLimits(max_seconds=section.max_seconds, max_tokens=section.max_tokens // 2)
    count_tokens = build_token_counter(processor.tokenizer)
    sets = {}
    for name, records in load_records(section.corpora, "evaluation.corpora").items():
        examples: list[Example] = []
        for task in section.tasks:
            try:
                examples += build_pretraining_examples(
                    records, task, languages=data.languages or None, count_tokens=count_tokens, limits=limits
                )
            except ValueError:
                logger.warning(f"evaluation.corpora.{name}: gives no example of {task}")
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
    """Positions of all examples in batches within the bounds, short ones first; one too long is alone."""
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
