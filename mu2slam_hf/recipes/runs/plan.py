# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run over a mixture will draw and cost, computed from its recipe before any data is read."""

from collections.abc import Iterable
from dataclasses import dataclass

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.registry import find_corpus
from mu2slam_hf.data.sampling.mixture import source_shares
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.recipes.data.mixture import build_mixture_config
from mu2slam_hf.recipes.data.streams import OwnCorpus, open_corpus
from mu2slam_hf.recipes.runs.training_cost import Hardware, MeanLengths, count_flops
from mu2slam_hf.recipes.schema.loader import RecipeError
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe, PretrainingCorpusSection

AUDIO_BYTES_PER_SECOND = 4000.0
"""Opus at 32 kbit/s."""


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """One source of draws, as in `StreamSource`.

    Attributes:
        task: one of `PRETRAINING_TASKS`.
        corpus: its name in the recipe.
        lang: language for the temperature; of a known corpus of translations the one other than English.
        size: hours of speech or number of texts, by which sources are sampled; weights are not included.
        recorded: hours of the recordings, or number of texts; None if sizes are not declared, and those of all
            languages of the corpus are taken as equal.
        targets: languages that its draws are translated into, each equally often (of a known corpus).
    """

    task: str
    corpus: str
    lang: str
    size: float
    recorded: float | None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedDraws:
    """The draws of a direction in the whole run.

    Attributes:
        task, corpus: of the source.
        direction: language, or `source-target` where the corpus declares its targets; both directions for mt.
        share: share of the draws of the task.
        draws: number of draws.
        hours: hours of speech; None for texts.
        recorded: hours of its recordings or number of its texts, None if they are not known; the directions of one
            source have the same recordings.
        epochs: how often each recording is drawn in this direction, or each text; None if sizes are not known.
        repetitions: how often each recording is drawn in all directions of its source; None likewise.
    """

    task: str
    corpus: str
    direction: str
    share: float
    draws: float
    hours: float | None
    recorded: float | None
    epochs: float | None
    repetitions: float | None


def plan_sources(recipe: MixtureRecipe, config: MixtureConfig) -> list[PlannedSource]:
    """The sources of all tasks with the sizes that streams are sampled by.

    Args:
        recipe: the run.
        config: its mixture.
    """
    sources = []
    for task in config.tasks:
        for name in config.corpus_weights.get(task, {}):
            section = recipe.data.corpora[name]
            if section.name is None:
                sources += _own_sources(section, task, name)
            else:
                sources += _known_sources(section, find_corpus(section.name), task, name)
    return sources


def plan_draws(
    sources: list[PlannedSource], config: MixtureConfig, lengths: MeanLengths, num_micro_batches: int
) -> list[PlannedDraws]:
    """The draws of all sources in a number of micro-batches, direction by direction.

    Args:
        sources: of `plan_sources`.
        config: shares, temperatures and weights.
        lengths: mean lengths of recordings.
        num_micro_batches: micro-batches of all devices in all updates.
    """
    draws = []
    for task in config.tasks:
        of_task = [source for source in sources if source.task == task]
        weights, seconds = config.corpus_weights.get(task, {}), lengths.seconds_of(task)
        sizes = {
            str(number): (source.lang, source.size * float(weights.get(source.corpus, 1.0)))
            for number, source in enumerate(of_task)
        }
        shares = source_shares(sizes, config.temperature(task))
        for number, source in enumerate(of_task):
            share = shares.get(str(number), 0.0)
            drawn = share * config.shares[task] * num_micro_batches
            hours = drawn * seconds / 3600 if seconds else None
            draws += _directions_of(source, share, drawn, hours)
    return draws


def _directions_of(source: PlannedSource, share: float, draws: float, hours: float | None) -> list[PlannedDraws]:
    """The draws of a source, divided among its directions."""
    directions = [f"{source.lang}-{target}" for target in source.targets] or [source.lang]
    part = 1 / len(directions)
    repetitions = None if not source.recorded else (draws if hours is None else hours) / source.recorded
    return [
        PlannedDraws(
            task=source.task,
            corpus=source.corpus,
            direction=direction,
            share=share * part,
            draws=draws * part,
            hours=None if hours is None else hours * part,
            recorded=source.recorded,
            epochs=None if repetitions is None else repetitions * part,
            repetitions=repetitions,
        )
        for direction in directions
    ]


def _own_sources(section: PretrainingCorpusSection, task: str, name: str) -> list[PlannedSource]:
    corpus = open_corpus(section, name)
    assert isinstance(corpus, OwnCorpus)
    sizes, unit = corpus.sizes(task)
    return [
        PlannedSource(task=task, corpus=name, lang=lang, size=size, recorded=size if unit == "declared" else None)
        for lang, size in sizes.items()
    ]


def _known_sources(section: PretrainingCorpusSection, corpus: Corpus, task: str, name: str) -> list[PlannedSource]:
    """Of a corpus of the registry, by its declaration alone."""
    options = {**corpus.reader_options, **section.options}
    if task == "mt" and not options.get("languages"):
        # Corpora of translations are read by the languages other than English.
        options["languages"] = [lang for lang in corpus.languages if lang != "en"]
    languages = [corpus.codes.get(code) or canonical_language(code) for code in options.get("languages") or ()]
    languages = list(dict.fromkeys(languages or corpus.languages))
    declared, total = corpus.declared_sizes(task, section.split), section.total_of(task)
    known = all(lang in declared for lang in languages)
    sizes = {lang: declared[lang] if known else 1.0 for lang in languages}
    scale = 1.0 if total is None else total / sum(sizes.values())
    sources = []
    for lang, size in sizes.items():
        targets = {"ast": corpus.targets_of(lang), "mt": ("en",)}.get(task, ())
        recorded = None if not known and total is None else size * scale / (len(targets) if known and targets else 1)
        sources.append(
            PlannedSource(task=task, corpus=name, lang=lang, size=size * scale, recorded=recorded, targets=targets)
        )
    return sources


@dataclass(frozen=True, kw_only=True)
class SamplingPlan:
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


def build_plan(recipe: MixtureRecipe, hardware: Hardware, lengths: MeanLengths | None = None) -> SamplingPlan:
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
    return SamplingPlan(
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
