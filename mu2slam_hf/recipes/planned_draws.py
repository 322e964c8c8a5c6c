# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a run over a mixture will draw from each corpus, by task and direction, computed before any data is read."""

from dataclasses import dataclass

from mu2slam_hf.data.corpora.declaration import Corpus
from mu2slam_hf.data.corpora.registry import find_corpus
from mu2slam_hf.data.sampling.mixture import source_shares
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.models.language_codes import canonical_language
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe, PretrainingCorpusSection
from mu2slam_hf.recipes.streamed_corpora import OwnCorpus, open_corpus
from mu2slam_hf.recipes.training_cost import MeanLengths


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
        direction: language, or `source-target` where the corpus tells the targets; both directions for mt.
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
