# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run over a mixture will draw and cost, computed from its recipe before any data is read."""

from collections.abc import Iterable
from dataclasses import dataclass

from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.mixture_run import build_mixture_config
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe
from mu2slam_hf.recipes.planned_draws import PlannedDraws, PlannedSource, plan_draws, plan_sources
from mu2slam_hf.recipes.training_cost import Hardware, MeanLengths, count_flops

AUDIO_BYTES_PER_SECOND = 4000.0
"""Opus at 32 kbit/s."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will draw and cost.

    Updates count as full, although budgets of seconds and tokens may cut them; times are without evaluation.

    Attributes:
        updates: number of updates.
        examples_per_update: examples of all tasks, on all devices.
        audio_hours_per_update: hours of speech in them.
        tokens_per_update: text tokens in them.
        teraflops_per_update: 1e12 floating-point operations of an update.
        device_hours: hours of all devices together.
        days: days of the run.
        audio_terabytes: size of all recordings as Opus at 32 kbit/s.
        audio_megabytes_per_second: rate at which all devices together read them.
        draws: draws by task, corpus and direction.
    """

    updates: int
    examples_per_update: int
    audio_hours_per_update: float
    tokens_per_update: float
    teraflops_per_update: float
    device_hours: float
    days: float
    audio_terabytes: float
    audio_megabytes_per_second: float
    draws: list[PlannedDraws]


def build_plan(recipe: MixtureRecipe, hardware: Hardware, lengths: MeanLengths | None = None) -> Plan:
    """The plan of a recipe.

    Args:
        recipe: recipe of a run over a mixture.
        hardware: the devices.
        lengths: mean lengths of examples.

    Raises:
        RecipeError: the recipe has no number of updates, or no file of a model configuration.
    """
    updates = recipe.training.max_steps
    if not updates:
        raise RecipeError("training.max_steps: a plan needs the number of updates, but there is none")
    lengths = lengths or MeanLengths()
    config = build_mixture_config(recipe)
    sources = plan_sources(recipe, config)
    num_accumulated = recipe.training.gradient_accumulation_steps
    num_slots = hardware.num_devices * num_accumulated
    audio_seconds = num_slots * sum(config.shares[task] * lengths.seconds_of(task) for task in config.tasks)
    flops = count_flops(recipe, config, lengths)
    seconds = flops * num_accumulated / (hardware.device_flops * hardware.utilization)
    return Plan(
        updates=updates,
        examples_per_update=num_slots * sum(config.shares[task] for task in config.tasks),
        audio_hours_per_update=audio_seconds / 3600,
        tokens_per_update=num_slots * sum(config.shares[task] * lengths.tokens_of(task) for task in config.tasks),
        teraflops_per_update=flops * num_slots / 1e12,
        device_hours=seconds * updates * hardware.num_devices / 3600,
        days=seconds * updates / 86400,
        audio_terabytes=_recorded_hours(sources) * 3600 * AUDIO_BYTES_PER_SECOND / 1e12,
        audio_megabytes_per_second=audio_seconds * AUDIO_BYTES_PER_SECOND / 1e6 / seconds,
        draws=plan_draws(sources, config, lengths, num_slots * updates),
    )


def _recorded_hours(sources: Iterable[PlannedSource]) -> float:
    """Hours of all recordings; those that several tasks read count once, as the task with most of them has them."""
    hours: dict[str, dict[str, float]] = {}
    for source in sources:
        if source.task in ("speech", "asr", "ast"):
            of_corpus = hours.setdefault(source.corpus, {})
            of_corpus[source.task] = of_corpus.get(source.task, 0.0) + (source.recorded or 0.0)
    return sum(max(by_task.values()) for by_task in hours.values())
