# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora of a recipe as streams: their sources with sizes, and their first records for the tokenizer."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.corpora.registry import find_corpus
from mu2slam_hf.data.sampling.example_streams import StreamSource
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe
from mu2slam_hf.recipes.records import Records
from mu2slam_hf.recipes.streamed_corpora import StreamedCorpus, open_corpus


def open_corpora(recipe: MixtureRecipe, names: Iterable[str], opened: dict[str, StreamedCorpus]) -> None:
    """Open the corpora that are not in `opened` yet, in the order of the recipe.

    Each is opened once in a run: own corpora are read as a whole when their sizes are requested.
    """
    wanted = set(names)
    for name, section in recipe.data.corpora.items():
        if name in wanted and name not in opened:
            opened[name] = open_corpus(section, name)


def build_sources(
    recipe: MixtureRecipe,
    tasks: list[str],
    *,
    rank: int,
    num_ranks: int,
    failures: FaultCount,
    opened: dict[str, StreamedCorpus] | None = None,
) -> list[StreamSource]:
    """One source for each task, corpus and language.

    Args:
        recipe: the run.
        tasks: the tasks.
        rank: rank of this process.
        num_ranks: number of processes.
        failures: counts the rows that cannot be read.
        opened: corpora that the run has opened before, by name; others are added.

    Raises:
        RecipeError: a corpus that cannot be streamed, or sizes of corpora of one task that cannot be compared.
    """
    names = {
        task: [name for name, weight in recipe.data.tasks[task].corpus_weights.items() if weight] for task in tasks
    }
    corpora = {} if opened is None else opened
    open_corpora(recipe, chain.from_iterable(names.values()), corpora)
    options: dict[str, Any] = {"seed": recipe.training.seed, "block_size": recipe.data.block_size}
    options |= {"rank": rank, "num_ranks": num_ranks, "failures": failures}
    sources: list[StreamSource] = []
    for task in tasks:
        units: dict[str, list[str]] = {}
        for name in names[task]:
            built, unit = corpora[name].build_sources(task, **options)
            sources += built
            units.setdefault(unit, []).append(name)
        if len(units) > 1:
            raise RecipeError(
                f"data.tasks.{task}: the sizes of {', '.join(sorted(units['bytes']))} are known in bytes only, "
                f"those of the other corpora in hours or texts; give these a total_size in the same unit"
            )
    return sources


def look_at_streams(recipe: MixtureRecipe, opened: dict[str, StreamedCorpus] | None = None) -> Records:
    """The first `processor.records_per_language` records of every language of every corpus.

    Recordings stay with the first few of them, enough for the feature statistics: all would not fit into memory.

    Args:
        recipe: the run.
        opened: as in `build_sources`.
    """
    records: Records = {}
    corpora = {} if opened is None else opened
    for name in recipe.data.corpora:
        open_corpora(recipe, [name], corpora)
        beginnings = corpora[name].beginnings()
        num_recordings = max(1, recipe.processor.feature_statistics_utterances // len(beginnings))
        records[name] = []
        for stream in beginnings.values():
            for number, record in enumerate(islice(stream, recipe.processor.records_per_language)):
                if number >= num_recordings:
                    if not record.text:
                        break
                    record = replace(record, audio=None)
                records[name].append(replace(record, corpus=name))
    return records


def declared_languages(recipe: MixtureRecipe, records: Records) -> list[str]:
    """`und` and the languages of the corpora of a recipe.

    Of a known corpus they are those that it is declared to hold, whatever is in its folder.

    Args:
        recipe: the run.
        records: of `look_at_streams`, for the languages of own corpora.
    """
    languages = set(recipe.data.languages)
    if not languages:
        for name, section in recipe.data.corpora.items():
            if section.name is None:
                languages |= {lang for record in records[name] for lang in (record.lang, *record.translations)}
                continue
            corpus = find_corpus(section.name)
            chosen = {**corpus.reader_options, **section.options}.get("languages")
            languages |= {corpus.codes.get(code, code) for code in chosen} | {"en"} if chosen else {*corpus.languages}
    return [UNDETERMINED, *sorted(languages - {UNDETERMINED})]
