# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Training texts given by `--training-texts`: manifests, corpora and recipes, of which only texts are read."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

_RECIPE_SUFFIXES = (".yaml", ".yml")


def read_training_words(sources: Sequence[str]) -> Any:
    """The `TrainingWords` of all sources.

    Args:
        sources: each a manifest (or folder or glob pattern of manifests), NAME=DIR for the training split of a corpus,
            or a recipe (`.yaml`) for all corpora of its section `data`.

    Raises:
        ValueError: a source that does not exist, cannot be read or has no texts.
    """
    from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords

    words = TrainingWords()
    for source in sources:
        if not sum(map(words.add, _read_source(source))):
            raise ValueError(f"--training-texts {source}: has no texts")
    return words


def _read_source(source: str) -> Iterator[Iterable[Any]]:
    from mu2slam_hf.data.corpora.registry import CORPORA, corpus_reader, load_corpus
    from mu2slam_hf.data.manifests import read_manifest
    from mu2slam_hf.data.shard_files import find_shards

    name, separator, root = source.partition("=")
    if separator and name in CORPORA:
        # Corpora with a reader may be too large for memory.
        yield load_corpus(name, root) if CORPORA[name].reader is None else corpus_reader(name, root).records()
    elif Path(source).suffix in _RECIPE_SUFFIXES:
        yield from _read_recipe(source)
    elif separator and not Path(source).exists():
        raise ValueError(f"--training-texts {source}: no corpus {name!r}; known are {', '.join(CORPORA)}")
    else:
        yield from map(read_manifest, find_shards(source))


def _read_recipe(path: str) -> Iterator[Iterable[Any]]:
    from mu2slam_hf.recipes.data.records import read_corpus_table
    from mu2slam_hf.recipes.runs.registry import load_recipe

    for name, section in load_recipe(path).data.corpora.items():
        yield read_corpus_table(section, name, f"data.corpora.{name}")
