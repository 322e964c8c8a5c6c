# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The texts that a run trains on, as opposed to all texts of its records."""

from collections.abc import Iterator
from typing import Any

from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.recipes.records import Records


def iterate_training_texts(recipe: Any, records: Records) -> Iterator[tuple[str, str]]:
    """Language and text of every source and target of the corpora of a recipe; a text may occur several times.

    Limits of length are ignored. Texts of streams are not known before training and are left out.

    Args:
        recipe: recipe of the run.
        records: its training records.
    """
    data = recipe.data
    if hasattr(data, "tasks"):
        uses = [
            (name, ExampleBuilder(tasks=[task], one_target=True, **_options(data)))
            for task, section in data.tasks.items()
            if section.share != 0
            for name, weight in section.corpus_weights.items()
            if weight > 0
        ]
    elif all(hasattr(corpus, "tasks") for corpus in data.corpora.values()):
        uses = [(name, ExampleBuilder(tasks=corpus.tasks, **_options(data))) for name, corpus in data.corpora.items()]
    else:  # transcripts only
        for part in records.values():
            yield from ((record.lang, record.text) for record in part if record.text)
        return
    for name, builder in uses:
        for record in records.get(name, ()):
            for example in builder.examples_of(record):
                yield from _texts_of(example)


def _options(data: Any) -> dict[str, Any]:
    as_texts = getattr(data, "translations_as_texts", False)
    return {"languages": data.languages or None, "translations_as_texts": as_texts}


def _texts_of(example: Example) -> Iterator[tuple[str, str]]:
    if example.source_text is not None:
        yield example.source_lang, example.source_text
    yield from ((target.lang, target.text) for target in example.targets)
