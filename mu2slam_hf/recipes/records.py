# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora of a recipe as records in memory."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.durations import fill_durations
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.selection import spread_evenly, take_part
from mu2slam_hf.recipes.corpus_sources import read_table
from mu2slam_hf.recipes.data_sections import CorpusSource
from mu2slam_hf.recipes.loader import RecipeError

logger = logging.get_logger(__name__)

Records = dict[str, list[SpeechTextRecord]]
"""Name of a corpus in the recipe -> its records."""


def load_records(corpora: Mapping[str, CorpusSource], path: str) -> Records:
    """Records with durations of each corpus of a section, by its name in the recipe.

    Args:
        corpora: section with the corpora.
        path: dotted path of the section, for messages.
    """
    return {name: _load_corpus(section, name, f"{path}.{name}") for name, section in corpora.items()}


def build_audio_cache(recipe: Any, records: Records) -> AudioCache:
    """The cache of decoded audio; of size 0 without `data.cache_audio` or for streams."""
    if not recipe.data.cache_audio or getattr(recipe.data, "streaming", False):
        return AudioCache(max_bytes=0)
    cache = AudioCache()
    if recipe.training.dataloader_num_workers > 0:
        # Filled before the loader forks, so that its processes share one copy.
        spoken = [record for part in records.values() for record in part if record.audio is not None]
        cache.preload({record.key: record.audio for record in spoken})
    return cache


def _load_corpus(section: CorpusSource, name: str, path: str) -> list[SpeechTextRecord]:
    records = take_part(read_table(section, name, path), section.part)
    records, failures = fill_durations(replace(record, corpus=name) for record in records)
    for failure in failures:
        logger.warning(f"{path}: left out {failure}")
    longest = section.max_duration_seconds
    if longest is not None:
        records = [r for r in records if r.duration_seconds is None or r.duration_seconds <= longest]
    records = spread_evenly(records, section.limit)
    if not records:
        raise RecipeError(f"{path}: no records remain")
    return records
