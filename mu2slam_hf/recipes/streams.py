# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora of a recipe as streams: their sources with sizes, and a first look at them for the tokenizer."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from mu2slam_hf.data.corpora.reader import CorpusReader, FaultCount
from mu2slam_hf.data.corpora.registry import CORPORA, corpus_reader
from mu2slam_hf.data.sampling.example_streams import StreamSource, build_stream_sources
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.recipes.loader import RecipeError
from mu2slam_hf.recipes.mixture_sections import MixtureRecipe, PretrainingCorpusSection
from mu2slam_hf.recipes.records import Records


def build_sources(
    recipe: MixtureRecipe, tasks: list[str], *, rank: int, num_ranks: int, failures: FaultCount
) -> list[StreamSource]:
    """One source for each task, corpus and language.

    Raises:
        RecipeError: a corpus that cannot be streamed, or sizes of corpora of one task that cannot be compared.
    """
    sources: list[StreamSource] = []
    for task in tasks:
        units: dict[str, list[str]] = {}
        for name, weight in recipe.data.tasks[task].corpora.items():
            if weight == 0:
                continue
            section = recipe.data.corpora[name]
            readers = _build_stream_reader(recipe, name).readers_of(task)
            for lang, reader in readers:
                shards = reader.shards_by_language()
                sizes, unit = _sizes_of(section, shards, task)
                units.setdefault(unit, []).append(name)
                built = build_stream_sources(
                    reader,
                    task,
                    sizes=sizes,
                    seed=recipe.training.seed,
                    rank=rank,
                    num_ranks=num_ranks,
                    failures=failures,
                    block_size=recipe.data.block_size,
                )
                # Weights and reports go by the recipe's own names.
                sources += [
                    replace(s, corpus=name, lang=lang or s.lang, size=s.size / len(readers) if lang else s.size)
                    for s in built
                ]
        if len(units) > 1:
            raise RecipeError(
                f"data.tasks.{task}: the sizes of {', '.join(sorted(set(units['bytes'])))} are known in bytes only, "
                f"those of the other corpora in hours or documents; give these a total_size in the same unit"
            )
    return sources


def look_at_streams(recipe: MixtureRecipe) -> Records:
    """The first records of every language of every corpus, as many as `processor.records_per_language` says.

    Recordings stay with the first few of them, enough for the feature statistics: all would not fit into memory.
    """
    records: Records = {}
    for name in recipe.data.corpora:
        reader = _build_stream_reader(recipe, name)
        shards = reader.shards_by_language()
        num_recordings = max(1, recipe.processor.feature_statistics_utterances // len(shards))
        records[name] = []
        for parts in shards.values():
            stream = (record for shard in parts for record in reader(shard))
            for number, record in enumerate(islice(stream, recipe.processor.records_per_language)):
                if number >= num_recordings:
                    if not record.text:
                        break
                    record = replace(record, audio=None)
                records[name].append(replace(record, corpus=name))
    return records


def declared_languages(recipe: MixtureRecipe) -> list[str]:
    """`und` and the languages that the corpora of a recipe are declared to hold, whatever lies in their folders."""
    languages = set(recipe.data.languages)
    if not languages:
        for section in recipe.data.corpora.values():
            corpus = CORPORA[section.name or ""]
            chosen = {**corpus.reader_options, **section.options}.get("languages")
            languages |= {corpus.codes.get(code, code) for code in chosen} | {"en"} if chosen else {*corpus.languages}
    return [UNDETERMINED, *sorted(languages - {UNDETERMINED})]


def _build_stream_reader(recipe: MixtureRecipe, name: str) -> CorpusReader:
    path, section = f"data.corpora.{name}", recipe.data.corpora[name]
    if section.name is None or section.root is None:
        raise RecipeError(f"{path}: give name and root; manifests are not streamed (set data.streaming to false)")
    if section.limit is not None:
        raise RecipeError(f"{path}.limit: is for tables (set data.streaming to false)")
    options = dict(section.options)
    if section.max_duration_seconds is not None:
        options.setdefault("max_duration_seconds", section.max_duration_seconds)
    try:
        reader = corpus_reader(section.name, section.root, section.split, **options)
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error
    return reader


def _sizes_of(
    section: PretrainingCorpusSection, shards: Mapping[str, list[str]], task: str
) -> tuple[dict[str, float] | None, str]:
    """Size of each language, and its unit: `declared` (hours of speech, documents of text) or `bytes` of files."""
    corpus = CORPORA[section.name or ""]
    declared: Mapping[str, Any] = corpus.documents if task == "text" else corpus.hours
    if task == "mt":
        declared = {}
    known = {lang: float(declared[lang]) for lang in shards if lang in declared}
    if len(known) == len(shards) and section.total_size is None:
        return known, "declared"
    parts = known if len(known) == len(shards) else {lang: _num_bytes(names) for lang, names in shards.items()}
    if section.total_size is None:
        return parts, "bytes"
    total = sum(parts.values())
    return {lang: section.total_size * size / total for lang, size in parts.items()}, "declared"


def _num_bytes(shards: list[str]) -> float:
    return float(sum(Path(file).stat().st_size for file in {shard.split("#")[0] for shard in shards}))
