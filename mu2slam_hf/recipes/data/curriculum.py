# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The phases of supervised training: from records to examples, mixtures and samplers."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.augmentation import SpecAugment, WaveformAugmenter
from mu2slam_hf.data.examples.batch_limits import BatchLimits
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.example import TASK_NAMES, Example
from mu2slam_hf.data.examples.token_counts import build_token_counter
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture
from mu2slam_hf.data.sampling.phases import Phase
from mu2slam_hf.recipes.data.records import Records, build_audio_cache
from mu2slam_hf.recipes.schema.data import CorpusSection, PhaseSection, TargetSection
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.training.objectives.supervised import SupervisedObjective

logger = logging.get_logger(__name__)

SEED_STEP = 1_000_003
"""Difference between the seeds of phases, so that they have different random draws."""


def build_corpus_examples(
    recipe: Any,
    corpora: dict[str, CorpusSection],
    records: Records,
    limits: BatchLimits,
    count_tokens: Callable[[str], int],
) -> list[Example]:
    """Examples of all corpora; those that exceed the limits of a batch by themselves are left out and counted."""
    examples: list[Example] = []
    for name, section in corpora.items():
        languages = recipe.data.languages or None
        builder = ExampleBuilder(tasks=section.tasks, languages=languages, count_tokens=count_tokens)
        built = builder.build(records[name])
        fitting = [example for example in built if limits.hold(example.cost, 1)]
        if len(fitting) < len(built):
            logger.warning(f"{name}: {len(built) - len(fitting)} of {len(built)} examples exceed {limits}: left out")
        examples += fitting
    return examples


def resolve_curriculum(recipe: Any) -> list[PhaseSection]:
    """The phases with all steps known: the last one takes what is left of `training.max_steps`.

    Raises:
        RecipeError: steps are missing or do not add up.
    """
    phases = list(recipe.data.curriculum) or [PhaseSection()]
    total = recipe.training.max_steps
    for number, phase in enumerate(phases):
        path = f"data.curriculum.{number}"
        unknown = sorted(set(phase.corpus_weights) - set(recipe.data.corpora))
        if unknown:
            known = ", ".join(recipe.data.corpora)
            raise RecipeError(f"{path}.corpus_weights.{unknown[0]}: no such corpus in data.corpora ({known})")
        foreign = sorted(set(phase.objective) - set(SupervisedObjective.names))
        if foreign:
            raise RecipeError(f"{path}.objective.{foreign[0]}: unknown; known: {', '.join(SupervisedObjective.names)}")
        foreign = sorted(set(phase.tasks) - set(TASK_NAMES))
        if foreign:
            raise RecipeError(f"{path}.tasks: expected some of {', '.join(TASK_NAMES)}; got {foreign[0]!r}")
        if phase.steps is None and number < len(phases) - 1:
            raise RecipeError(f"{path}.steps: is required for all phases but the last")
    before = sum(phase.steps or 0 for phase in phases[:-1])
    last = phases[-1].steps
    if last is None:
        if total is None:
            raise RecipeError("training.max_steps: is required if the last phase has no steps")
        last = total - before
    if last <= 0 and total is not None and before >= total:
        # A trial run with few updates ends in an early phase.
        last = 1
    if total is not None and total > before + last:
        last = total - before
    return [*phases[:-1], replace(phases[-1], steps=last)]


def total_steps(recipe: Any) -> int:
    """Total number of updates of the run."""
    return recipe.training.max_steps or sum(phase.steps or 0 for phase in resolve_curriculum(recipe))


def build_curriculum(
    recipe: Any,
    records: Records,
    processor: Any,
    build_collator: Callable[..., Any],
    *,
    num_ranks: int = 1,
) -> list[Phase]:
    """Phases of a run; they share examples and decoded audio, not mixture, limits and augmentation.

    Args:
        recipe: recipe of the run.
        records: records of `load_records(recipe.data.corpora, ...)`.
        processor: feature extractor, tokenizer and languages.
        build_collator: function of `spec_augment` that returns the collator of a phase.
        num_ranks: number of processes.
    """
    cache = build_audio_cache(recipe, records)
    count_tokens = build_token_counter(processor.tokenizer)
    return [
        _build_phase(recipe, number, section, records, count_tokens, cache, build_collator, num_ranks)
        for number, section in enumerate(resolve_curriculum(recipe))
    ]


def _build_phase(
    recipe: Any,
    number: int,
    section: PhaseSection,
    records: Records,
    count_tokens: Callable[[str], int],
    cache: AudioCache,
    build_collator: Callable[..., Any],
    num_ranks: int,
) -> Phase:
    data, seed = recipe.data, recipe.training.seed + number * SEED_STEP
    limits = section.batch or data.batch
    weights = section.corpus_weights or {name: corpus.weight for name, corpus in data.corpora.items()}
    chosen = {
        name: _restrict_tasks(corpus, section.tasks)
        for name, corpus in data.corpora.items()
        if weights.get(name, 0.0) > 0.0
    }
    chosen = {name: corpus for name, corpus in chosen.items() if corpus.tasks}
    examples = build_corpus_examples(recipe, chosen, records, limits, count_tokens)
    dataset = ExampleDataset(
        examples,
        _draw_options(section.targets or data.targets),
        augmenter=WaveformAugmenter(section.waveform or data.waveform, seed=seed),
        cache=cache,
        limits=limits,
        seed=seed,
    )
    share = data.text_batch_share if section.text_batch_share is None else section.text_batch_share
    corpus_weights = {name: weights[name] for name in chosen}
    plan = BucketedPlan(
        Mixture(examples, corpus_weights=corpus_weights, temperature=data.temperature, seed=seed),
        dataset.cost_of,
        limits,
        seed=seed,
        num_slots=num_ranks * recipe.training.gradient_accumulation_steps,
        text_batch_share=share,
    )
    extras: dict[str, Any] = {}
    if section.objective:
        extras["loss_weights"] = section.objective
    if section.decoder_noise is not None:
        extras["decoder_noise"] = asdict(section.decoder_noise)
    masks = section.spec_augment or data.spec_augment
    spec_augment = SpecAugment(masks, seed=seed) if masks else None
    return Phase(
        name=section.name,
        num_steps=section.steps or 1,
        plan=plan,
        dataset=dataset,
        collator=build_collator(spec_augment=spec_augment),
        batch_extras=extras,
    )


def _restrict_tasks(corpus: CorpusSection, tasks: list[str]) -> CorpusSection:
    return replace(corpus, tasks=[task for task in corpus.tasks if task in tasks]) if tasks else corpus


def _draw_options(targets: TargetSection) -> DrawOptions:
    return DrawOptions(
        max_targets=targets.max_per_example,
        task_weights=targets.task_weights,
        undetermined_source_ratio=targets.undetermined_source_ratio,
    )
