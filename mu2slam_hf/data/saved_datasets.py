# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Reading of Hugging Face data sets on disk into validated records, without decoding their audio."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mu2slam_hf.data.language_sizes import LanguageSize, measure_rows, size_columns
from mu2slam_hf.data.manifests import ManifestColumns, RowReader
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.table_files import ManifestError

if TYPE_CHECKING:
    import datasets


# Number of shards of a stream over a data set saved as a whole, divisible by most numbers of processes.
_NUM_SHARDS = 64


def open_dataset(
    folder: str | os.PathLike[str], split: str = "train", *, streaming: bool = False, **options: Any
) -> "datasets.Dataset | datasets.IterableDataset":
    """A data set on disk: one that `save_to_disk` wrote, or a folder of files that `datasets.load_dataset` reads.

    Its audio is not decoded (see `keep_audio_encoded`).

    Args:
        folder: the folder.
        split: name of the split; a saved data set without splits is `train`.
        streaming: whether to return an `IterableDataset`, without a copy in the cache of `datasets`.
        options: further arguments of `load_dataset`, such as `name` and `data_files`.

    Raises:
        ManifestError: the folder or the split cannot be read.
    """
    import datasets

    folder = Path(folder)
    saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
    try:
        if not saved:
            return keep_audio_encoded(datasets.load_dataset(str(folder), split=split, streaming=streaming, **options))
        if options:
            raise ValueError(f"options are not supported for a saved data set, got {', '.join(options)}")
        whole = datasets.load_from_disk(str(folder))
        splits = whole if isinstance(whole, datasets.DatasetDict) else {"train": whole}
        if split not in splits:
            raise ValueError(f"no split {split!r}; it has {', '.join(splits)}")
        # A damaged file of Arrow would end the process, not raise an error.
        splits[split].data.table.validate(full=True)
        dataset = keep_audio_encoded(splits[split])
        return dataset.to_iterable_dataset(min(_NUM_SHARDS, max(1, len(dataset)))) if streaming else dataset
    except (ValueError, TypeError, OSError) as error:
        raise ManifestError(
            f"{folder}: cannot be read as a data set; expected a folder written by `save_to_disk`, or one with "
            f"Parquet, JSON, CSV or audio files that `datasets.load_dataset` reads ({error})"
        ) from error


def measure_dataset(
    dataset: "datasets.Dataset | datasets.IterableDataset",
    columns: ManifestColumns | None = None,
    lang: str | None = None,
) -> dict[str, LanguageSize]:
    """Language -> rows and hours of a data set, in one pass without reading audio."""
    names = dataset.column_names or list(next(iter(dataset), {}))
    chosen = [name for name in names if name in size_columns(columns)]
    # Without any of these columns, all are read, to count the rows.
    return measure_rows(dataset.select_columns(chosen or names), columns, lang)


def select_rows(
    dataset: "datasets.IterableDataset",
    columns: ManifestColumns | None = None,
    *,
    language: str | None = None,
    max_duration_seconds: float | None = None,
) -> "datasets.IterableDataset":
    """The rows of a canonical language that are not too long, by their language and duration columns."""
    if language is None and max_duration_seconds is None:
        return dataset
    return dataset.filter(partial(_is_wanted, columns, language, max_duration_seconds))


def _is_wanted(
    columns: ManifestColumns | None, language: str | None, max_duration_seconds: float | None, row: dict[str, Any]
) -> bool:
    sizes = measure_rows([row], columns, "und" if language is None else None)
    if language is not None and sizes and language not in sizes:
        return False
    hours = [size.hours for size in sizes.values() if size.hours is not None]
    return max_duration_seconds is None or not hours or 3600 * hours[0] <= max_duration_seconds


@dataclass(frozen=True)
class DatasetAudio:
    """Audio of one row of a Hugging Face data set, read on demand."""

    dataset: Any
    index: int
    column: str

    def read_audio(self) -> Any:
        """The undecoded cell: a mapping with `bytes` and `path`."""
        return self.dataset[self.index][self.column]


def read_dataset(
    dataset: "datasets.Dataset | datasets.IterableDataset",
    *,
    columns: ManifestColumns | None = None,
    lang: str | None = None,
    corpus: str = "dataset",
    root: str | os.PathLike[str] | None = None,
) -> Iterator[SpeechTextRecord]:
    """Records of a Hugging Face data set, in its order; its audio is not decoded by `datasets`.

    Records of a `Dataset` refer to their rows, which are read on demand; records of a stream contain the bytes.

    Args:
        dataset: data set with columns as in a manifest; a column of type `Audio` is cast to `Audio(decode=False)`.
        columns: names of the columns; default: the usual names.
        lang: language of all rows, if there is no such column.
        corpus: corpus name of the records.
        root: folder that audio paths are relative to; default: the working directory.
    """
    import datasets

    names = list(dataset.column_names or next(iter(dataset), {}))
    dataset = keep_audio_encoded(dataset)
    lazy = isinstance(dataset, datasets.Dataset)
    rows: Iterable[Any] = dataset
    if not names:
        raise ManifestError(f"{corpus}: the data set has no rows")
    reader = RowReader(columns, lang, corpus, Path(root or "."), names=names, place=corpus)
    audio_column = reader.names["audio"]
    if lazy and audio_column is not None:
        rows = cast("datasets.Dataset", dataset).remove_columns([audio_column])
    for index, row in enumerate(rows):
        if lazy and audio_column is not None:
            row = {**row, audio_column: DatasetAudio(dataset, index, audio_column)}
        yield reader.record(row, f"{corpus}, row {index}", str(index))


def keep_audio_encoded(
    dataset: "datasets.Dataset | datasets.IterableDataset",
) -> "datasets.Dataset | datasets.IterableDataset":
    """The data set with its audio as bytes or paths; `datasets` requires an optional package to decode it."""
    import datasets

    for name, kind in (dataset.features or {}).items():
        if isinstance(kind, datasets.Audio):
            dataset = dataset.cast_column(name, datasets.Audio(decode=False))
    return dataset
