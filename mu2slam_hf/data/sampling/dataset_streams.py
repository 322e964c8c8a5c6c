# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Streams over data sets of the library `datasets`."""

import copy
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.manifests import ManifestColumns, RowReader
from mu2slam_hf.data.records import RecordError, SpeechTextRecord
from mu2slam_hf.data.sampling.record_streams import NumberedRecord, Position, RecordStream, Share
from mu2slam_hf.data.saved_datasets import keep_audio_encoded

if TYPE_CHECKING:
    import datasets


class DatasetStream(RecordStream):
    """Records of a `datasets.IterableDataset`, divided by `split_dataset_by_node`, resumed by its own state.

    Args:
        dataset: without a shuffle buffer (its content would be lost at a resume); it is copied.
        corpus: corpus name of the records.
        lang: language of all rows, if there is no such column.
        columns: names of the columns; default: the usual names.
        root: folder that audio paths are relative to.
        by_rows: each process reads all rows and keeps every n-th; for a data set that was filtered, so that the shards
            of a process may hold none of its rows.
        failures: counts rows that cannot be used, which are then skipped; None raises at the first.
        kwargs: as in `RecordStream`.
    """

    def __init__(
        self,
        dataset: "datasets.IterableDataset",
        *,
        corpus: str,
        lang: str | None = None,
        columns: ManifestColumns | None = None,
        root: str | Path = ".",
        by_rows: bool = False,
        failures: FaultCount | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if _has_shuffle_buffer(getattr(dataset, "_ex_iterable", None)):
            raise ValueError(
                f"stream {self.name!r}: the data set has a shuffle buffer, whose content no checkpoint holds; leave "
                "`shuffle` out, the stream shuffles by blocks"
            )
        # A data set has its own position, and two tasks may use the same one.
        self._encoded: Any = keep_audio_encoded(copy.deepcopy(dataset))
        self.by_rows = by_rows
        self.dataset = self._part_of(self.share)
        self.failures = failures
        names = list(dataset.column_names or next(iter(dataset), {}))
        self._rows = RowReader(columns, lang, corpus, Path(root), names=names, place=corpus)
        self._iterator: Iterator[Any] | None = None
        self._reads: Any = None

    def first_position(self) -> Position:
        """The beginning of the data set; `row` counts what it gave to this rank."""
        return {"row": 0, "dataset": None}

    def read_block(self, position: Position) -> tuple[list[NumberedRecord], Position | None]:
        """The next `block_size` rows, faulty ones left out."""
        if self._iterator is None or self._reads != (self.epoch, self.share, position["row"]):
            self.dataset = self._part_of(self.share)
            self.dataset.set_epoch(self.epoch)
            self.dataset.load_state_dict(position["dataset"])
            self._iterator = iter(self.dataset)
        block: list[NumberedRecord] = []
        for number in range(position["row"], position["row"] + self.block_size):
            row = self._next_row()
            if row is None:
                self._iterator = None
                return block, None
            record = self._record(row, number)
            if record is not None:
                block.append((number, record))
        following = position["row"] + self.block_size
        self._reads = (self.epoch, self.share, following)
        return block, {"row": following, "dataset": self.dataset.state_dict()}

    def _next_row(self) -> Any:
        """The next row of this process, None at the end."""
        assert self._iterator is not None
        if not self.by_rows:
            return next(self._iterator, None)
        # Always whole groups, so that a state is taken between two of them.
        group = list(islice(self._iterator, self.share.num_ranks))
        return group[self.share.rank] if len(group) > self.share.rank else None

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """As the parent, with the number of shards."""
        return *super().fingerprint_parts(), getattr(self._encoded, "num_shards", None)

    def _part_of(self, share: Share) -> Any:
        """A copy of the data set, or of its part for a process."""
        from datasets.distributed import split_dataset_by_node

        dataset = copy.deepcopy(self._encoded)
        if self.by_rows:
            return dataset
        return split_dataset_by_node(dataset, rank=share.rank, world_size=share.num_ranks)

    def _record(self, row: Mapping[str, Any], number: int) -> SpeechTextRecord | None:
        # Without a column of ids: unique over the ranks, and the same in every epoch as long as their number is.
        default_id = f"{self.share.rank}.{number}"
        try:
            record = self._rows.record(row, f"{self.name}, row {number} of process {self.share.rank}", default_id)
        except RecordError as error:
            if self.failures is None:
                raise
            self.failures.add(str(error))
            return None
        if self.failures is not None:
            self.failures.add(None)
        return record


def _has_shuffle_buffer(iterable: Any) -> bool:
    """Whether one of the steps of a data set is a shuffle buffer of more than one record."""
    if iterable is None:
        return False
    if type(iterable).__name__ == "BufferShuffledExamplesIterable" and iterable.buffer_size > 1:
        return True
    inner = [getattr(iterable, "ex_iterable", None), *(getattr(iterable, "ex_iterables", None) or [])]
    return any(_has_shuffle_buffer(part) for part in inner)
