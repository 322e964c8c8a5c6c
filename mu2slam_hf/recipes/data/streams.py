# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpora of a recipe as streams: their sources with sizes, and their first records for the tokenizer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.corpora.registry import CORPORA, corpus_reader, find_corpus
from mu2slam_hf.data.language_sizes import LanguageSize, add_sizes
from mu2slam_hf.data.records import SpeechTextRecord, cached_canonical_language
from mu2slam_hf.data.sampling.dataset_streams import DatasetStream
from mu2slam_hf.data.sampling.example_streams import StreamSource, build_stream_sources
from mu2slam_hf.data.saved_datasets import measure_dataset, read_dataset, select_rows
from mu2slam_hf.models.language_codes import UNDETERMINED
from mu2slam_hf.recipes.data.records import Records, find_own_shards, open_own_dataset, read_columns, source_kind
from mu2slam_hf.recipes.schema.loader import RecipeError, errors_of
from mu2slam_hf.recipes.schema.mixture import MixtureRecipe, PretrainingCorpusSection


class StreamedCorpus(ABC):
    """A corpus that is read as streams.

    Args:
        section: section of the recipe.
        name: name of the corpus in the recipe.
        path: dotted path of the section, for messages.
    """

    def __init__(self, section: PretrainingCorpusSection, name: str, path: str) -> None:
        self.section, self.name, self.path = section, name, path

    @abstractmethod
    def beginnings(self) -> dict[str, Iterator[SpeechTextRecord]]:
        """Language -> its records from the first one on."""

    @abstractmethod
    def build_sources(self, task: str, **options: Any) -> tuple[list[StreamSource], str]:
        """The sources of a task, and the unit of their sizes: `declared` (hours or texts) or `bytes` of files.

        Args:
            task: one of `PRETRAINING_TASKS`.
            options: arguments of `RecordStream`: `seed`, `rank`, `num_ranks`, `block_size`, `failures`.
        """

    def total(self, parts: dict[str, float], unit: str, task: str) -> tuple[dict[str, float], str]:
        """The sizes of the languages and their unit, scaled to `total_size` if the section has it for the task."""
        total = self.section.total_of(task)
        if total is None:
            return parts, unit
        whole = sum(parts.values())
        return {lang: total * size / whole for lang, size in parts.items()}, "declared"


class KnownCorpus(StreamedCorpus):
    """A corpus of the registry."""

    def __init__(self, section: PretrainingCorpusSection, name: str, path: str) -> None:
        super().__init__(section, name, path)
        options = dict(section.options)
        if section.max_duration_seconds is not None:
            options.setdefault("max_duration_seconds", section.max_duration_seconds)
        with errors_of(path):
            self.reader = corpus_reader(section.name or "", section.root or "", section.split, **options)

    def beginnings(self) -> dict[str, Iterator[SpeechTextRecord]]:
        """See `StreamedCorpus`."""
        by_language = self.reader.shards_by_language()
        return {lang: chain.from_iterable(map(self.reader, shards)) for lang, shards in by_language.items()}

    def build_sources(self, task: str, **options: Any) -> tuple[list[StreamSource], str]:
        """See `StreamedCorpus`."""
        sources: list[StreamSource] = []
        readers = self.reader.readers_of(task)
        for lang, reader in readers:
            shards = reader.shards_by_language()
            sizes, unit = self._sizes(shards, task)
            built = build_stream_sources(reader, task, corpus=reader.name, shards=shards, sizes=sizes, **options)
            # Weights and reports use the names of the recipe.
            sources += [
                replace(s, corpus=self.name, lang=lang or s.lang, size=s.size / len(readers) if lang else s.size)
                for s in built
            ]
        return sources, unit

    def _sizes(self, shards: Mapping[str, list[str]], task: str) -> tuple[dict[str, float], str]:
        corpus = CORPORA[self.section.name or ""]
        declared = corpus.declared_sizes(task, self.section.split)
        if all(lang in declared for lang in shards):
            return self.total({lang: declared[lang] for lang in shards}, "declared", task)
        return self.total({lang: _num_bytes(names) for lang, names in shards.items()}, "bytes", task)


class OwnCorpus(StreamedCorpus):
    """A corpus of the user's own: each language of its rows is a source."""

    def __init__(self, section: PretrainingCorpusSection, name: str, path: str) -> None:
        super().__init__(section, name, path)
        self.columns = read_columns(section, path)
        with errors_of(f"{path}.lang"):
            self.lang = None if section.lang is None else cached_canonical_language(section.lang)

    @abstractmethod
    def measure(self) -> dict[str, LanguageSize]:
        """Language -> rows and hours."""

    @abstractmethod
    def num_bytes(self) -> float:
        """Bytes of all files."""

    @cached_property
    def measured(self) -> dict[str, LanguageSize]:
        """Language -> rows and hours; nothing is read if `lang` and one `total_size` are given."""
        if self.lang is not None and isinstance(self.section.total_size, float | int):
            return {self.lang: LanguageSize(num_rows=1, hours=None)}
        sizes = self.measure()
        if not sizes:
            raise RecipeError(
                f"{self.path}: no row has a language; give `lang`, or name its column by `columns: {{lang: NAME}}`"
            )
        return sizes

    def sizes(self, task: str) -> tuple[dict[str, float], str]:
        """Language -> hours of speech or number of texts; bytes of speech where a length is missing."""
        rows = {lang: float(size.num_rows) for lang, size in self.measured.items()}
        if task in ("text", "mt"):
            return self.total(rows, "declared", task)
        hours = {lang: size.hours for lang, size in self.measured.items() if size.hours is not None}
        if len(hours) == len(rows):
            return self.total(hours, "declared", task)
        num_bytes, num_rows = self.num_bytes(), sum(rows.values())
        return self.total({lang: num_bytes * number / num_rows for lang, number in rows.items()}, "bytes", task)


class ShardCorpus(OwnCorpus):
    """Manifests or WebDataset archives."""

    def __init__(self, section: PretrainingCorpusSection, name: str, path: str) -> None:
        super().__init__(section, name, path)
        reader, self.shards = find_own_shards(section, name, path)
        self.reader = replace(reader, max_duration_seconds=section.max_duration_seconds)

    @cached_property
    def by_shard(self) -> dict[str, dict[str, LanguageSize]]:
        """Shard -> language -> rows and hours."""
        return {shard: self.reader.measure(shard) for shard in self.shards}

    def measure(self) -> dict[str, LanguageSize]:
        """See `OwnCorpus`."""
        return add_sizes(self.by_shard.values())

    def num_bytes(self) -> float:
        """See `OwnCorpus`."""
        return _num_bytes(self.shards)

    def beginnings(self) -> dict[str, Iterator[SpeechTextRecord]]:
        """See `StreamedCorpus`."""
        return {lang: chain.from_iterable(map(self._reader_of(lang), self._shards_of(lang))) for lang in self.measured}

    def build_sources(self, task: str, **options: Any) -> tuple[list[StreamSource], str]:
        """See `StreamedCorpus`."""
        sizes, unit = self.sizes(task)
        sources: list[StreamSource] = []
        for lang in sizes:
            shards = {lang: self._shards_of(lang)}
            shared: dict[str, Any] = {"corpus": self.reader.corpus, "shards": shards, "sizes": sizes, **options}
            sources += build_stream_sources(self._reader_of(lang), task, **shared)
        return sources, unit

    def _reader_of(self, lang: str) -> ManifestShardReader:
        return replace(self.reader, language=None if self.lang is not None else lang)

    def _shards_of(self, lang: str) -> list[str]:
        # A process that reads only shards without the language would have no record.
        return [shard for shard in self.shards if self.lang is not None or lang in self.by_shard[shard]]


class DatasetCorpus(OwnCorpus):
    """A Hugging Face data set on disk."""

    def __init__(self, section: PretrainingCorpusSection, name: str, path: str) -> None:
        super().__init__(section, name, path)
        self.dataset, self.read_options = open_own_dataset(section, name, path, streaming=True)

    def measure(self) -> dict[str, LanguageSize]:
        """See `OwnCorpus`."""
        return measure_dataset(self.dataset, self.columns, self.section.lang)

    def num_bytes(self) -> float:
        """See `OwnCorpus`."""
        files = Path(self.section.dataset or "").rglob("*")
        return float(sum(file.stat().st_size for file in files if file.is_file()))

    def beginnings(self) -> dict[str, Iterator[SpeechTextRecord]]:
        """See `StreamedCorpus`."""
        return {lang: read_dataset(self._rows_of(lang), **self.read_options) for lang in self.measured}

    def build_sources(self, task: str, **options: Any) -> tuple[list[StreamSource], str]:
        """See `StreamedCorpus`."""
        sizes, unit = self.sizes(task)
        shared = {"by_rows": self.lang is None, **self.read_options, **options}
        sources = []
        for lang, size in sizes.items():
            stream = DatasetStream(self._rows_of(lang), name=f"{task}/{self.name}/{lang}", **shared)
            sources.append(StreamSource(task=task, corpus=self.name, lang=lang, size=size, stream=stream))
        return sources, unit

    def _rows_of(self, lang: str) -> Any:
        language, longest = None if self.lang is not None else lang, self.section.max_duration_seconds
        return select_rows(self.dataset, self.columns, language=language, max_duration_seconds=longest)


def open_corpus(section: PretrainingCorpusSection, name: str) -> StreamedCorpus:
    """A corpus of a recipe.

    Raises:
        RecipeError: the section does not fit together, or its files are not found.
    """
    path = f"data.corpora.{name}"
    kind = source_kind(section, path)
    for key in ("part", "limit"):
        if getattr(section, key) is not None:
            raise RecipeError(f"{path}.{key}: is supported for tables only; set data.streaming to false")
    return {"name": KnownCorpus, "dataset": DatasetCorpus}.get(kind, ShardCorpus)(section, name, path)


def _num_bytes(shards: list[str]) -> float:
    return float(sum(Path(file).stat().st_size for file in {shard.split("#")[0] for shard in shards}))


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
