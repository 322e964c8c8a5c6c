# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora of a recipe: where each is read from, and its records in memory."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.reader import unique_records
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.data.corpora.webdataset import WebDatasetReader
from mu2slam_hf.data.durations import fill_durations
from mu2slam_hf.data.manifests import ManifestColumns, read_manifest
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.saved_datasets import open_dataset, read_dataset
from mu2slam_hf.data.selection import spread_evenly, take_part
from mu2slam_hf.data.shard_files import ARCHIVE_ENDINGS, MANIFEST_ENDINGS, find_shards
from mu2slam_hf.recipes.schema.data import CorpusSource
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of

logger = logging.get_logger(__name__)

Records = dict[str, list[SpeechTextRecord]]
"""Name of a corpus in the recipe -> its records."""

SourceKind = Literal["name", "manifest", "webdataset", "dataset"]


def source_kind(section: CorpusSource, path: str) -> SourceKind:
    """The one of the four sources that a section names.

    Raises:
        RecipeError: none or several, or a known corpus without its folder.
    """
    kinds: tuple[SourceKind, ...] = ("name", "manifest", "webdataset", "dataset")
    given = [kind for kind in kinds if getattr(section, kind) is not None]
    if len(given) != 1:
        raise RecipeError(
            f"{path}: give exactly one of name (a corpus of `mu2slam corpora`, with root), manifest, webdataset and "
            f"dataset; got {' and '.join(given) or 'none'}"
        )
    if given[0] == "name" and section.root is None:
        raise RecipeError(f"{path}.root: the folder of corpus {section.name!r} is required")
    return given[0]


def read_columns(section: CorpusSource, path: str) -> ManifestColumns:
    """The column names of a section."""
    try:
        return ManifestColumns(**section.columns)
    except TypeError as error:
        raise RecipeError(f"{path}.columns: {error}") from error


def find_own_shards(section: CorpusSource, name: str, path: str) -> tuple[ManifestShardReader, list[str]]:
    """The reader of manifests or WebDataset archives, and their files.

    Args:
        section: with `manifest` or `webdataset`.
        name: of the corpus.
        path: dotted path of the section, for messages.
    """
    packed = section.webdataset is not None
    reader = (WebDatasetReader if packed else ManifestShardReader)(
        columns=read_columns(section, path), lang=section.lang, corpus=name, audio_root=section.audio_root
    )
    with errors_of(f"{path}.{'webdataset' if packed else 'manifest'}"):
        where = section.webdataset or section.manifest or ""
        files = find_shards(where, section.split, ARCHIVE_ENDINGS if packed else MANIFEST_ENDINGS)
    return reader, [str(file) for file in files]


def open_own_dataset(
    section: CorpusSource, name: str, path: str, *, streaming: bool = False
) -> tuple[Any, dict[str, Any]]:
    """A data set, and the arguments of `read_dataset` that describe its rows.

    Args:
        section: with `dataset`.
        name: of the corpus.
        path: dotted path of the section, for messages.
        streaming: see `open_dataset`.
    """
    root = section.audio_root or section.dataset
    read_options = {"columns": read_columns(section, path), "lang": section.lang, "corpus": name, "root": root}
    with errors_of(f"{path}.dataset"):
        return open_dataset(section.dataset or "", section.split, streaming=streaming, **section.options), read_options


def read_corpus_table(section: CorpusSource, name: str, path: str) -> list[SpeechTextRecord]:
    """All records of a corpus.

    Args:
        section: the corpus.
        name: of the corpus.
        path: dotted path of the section, for messages.

    Raises:
        RecipeError: the section does not fit together, or its files are not found.
        ManifestError: a faulty row, or two records with one id.
    """
    kind = source_kind(section, path)
    if kind == "name":
        try:
            return load_corpus(section.name or "", section.root or "", section.split, **section.options)
        except TypeError as error:
            raise RecipeError(f"{path}.options: {error}") from error
    if kind == "dataset":
        dataset, read_options = open_own_dataset(section, name, path)
        with errors_of(path):
            return unique_records(read_dataset(dataset, **read_options), name)
    reader, files = find_own_shards(section, name, path)
    if kind == "manifest" and len(files) == 1:
        return read_manifest(
            files[0], columns=reader.columns, lang=reader.lang, corpus=name, audio_root=reader.audio_root
        )
    with errors_of(path):
        return unique_records((record for file in files for record in reader(file)), name)


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
    records = take_part(read_corpus_table(section, name, path), section.part)
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
