# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Records from shards, without loading a corpus: divided over ranks, shuffled by blocks, resumed exactly.

Choice: shuffling is a permutation of the shards and a permutation within blocks of consecutive records, both functions
of seed, epoch and position. So the state is a position and an offset; a shuffle buffer, as in `datasets`, would have
to be stored with it, or be lost.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.manifests import ManifestColumns, RowReader
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import RecordError, SpeechTextRecord
from mu2slam_hf.data.saved_datasets import keep_audio_encoded

if TYPE_CHECKING:
    import datasets

Position = dict[str, Any]


class RecordStream(ABC):
    """Records of one rank, epoch after epoch, without end.

    Over all ranks each record occurs exactly once in an epoch; ranks need not begin their epochs at the same time.

    Args:
        name: unique among the streams of a run; its random orders depend on it.
        seed: seed of the run.
        rank: rank of this process.
        num_ranks: number of processes.
        shuffle: False: records in the order of the shards.
        block_size: records that are held in memory and shuffled together.

    Attributes:
        record_number: number of the record that was read last: the same in each epoch, and within a block consecutive
            in the order of the data, not in that of reading.
    """

    def __init__(
        self,
        *,
        name: str,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        shuffle: bool = True,
        block_size: int = 1000,
    ) -> None:
        if not 0 <= rank < num_ranks:
            raise ValueError(f"`rank` must be in [0, {num_ranks}), got {rank}")
        if block_size < 1:
            raise ValueError(f"`block_size` must be at least 1, got {block_size}")
        self.name, self.seed, self.rank, self.num_ranks = name, seed, rank, num_ranks
        self.shuffle, self.block_size = shuffle, block_size
        self.epoch = 0
        self._position = self.first_position()
        self._next: Position | None = None
        self._offset = 0
        self._block: list[SpeechTextRecord | None] | None = None
        self._numbers: list[int] = []
        self._has_given = False
        self.record_number = 0

    def read(self) -> tuple[int, SpeechTextRecord]:
        """The next record, and the epoch it belongs to.

        Raises:
            ValueError: a whole epoch had no record for this rank.
        """
        while True:
            if self._block is None:
                self._fill_block()
            assert self._block is not None
            if self._offset < len(self._block):
                record, self._block[self._offset] = self._block[self._offset], None
                assert record is not None
                self.record_number = self._numbers[self._offset]
                self._offset += 1
                self._has_given = True
                return self.epoch, record
            self._to_next_block()

    def state_dict(self) -> dict[str, Any]:
        """Position of the next record; JSON-serialisable."""
        return {"epoch": self.epoch, "position": dict(self._position), "offset": self._offset}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of `state`."""
        self.epoch, self._offset = int(state["epoch"]), int(state["offset"])
        self._position = dict(state["position"])
        self._block = None
        self._has_given = True

    @abstractmethod
    def first_position(self) -> Position:
        """Position of the beginning of an epoch."""

    @abstractmethod
    def read_block(self, position: Position) -> tuple[list[SpeechTextRecord], Position | None]:
        """Records of the block that begins at a position, in their order, and where the next one begins.

        The next position is None at the end of the epoch. A block may be empty.
        """

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """Settings that the records at a position depend on."""
        return self.name, self.seed, self.num_ranks, self.shuffle, self.block_size

    def _fill_block(self) -> None:
        records, self._next = self.read_block(self._position)
        place = list(map(str, self._place()))
        order = list(range(len(records)))
        if self.shuffle:
            generator = counter_generator(self.seed, self.name, "block", self.epoch, *place)
            order = generator.permutation(len(records)).tolist()
        first = crc32("/".join(place).encode())
        self._numbers = [first + number for number in order]
        self._block = [None] * min(self._offset, len(records))
        self._block += [records[number] for number in order[self._offset :]]

    def _place(self) -> list[Any]:
        """Numbers that identify the block within the epoch."""
        return [value for _, value in sorted(self._position.items()) if isinstance(value, int)]

    def _to_next_block(self) -> None:
        self._block, self._offset = None, 0
        if self._next is not None:
            self._position = self._next
            return
        if not self._has_given:
            raise ValueError(
                f"stream {self.name!r} has no record for process {self.rank + 1} of {self.num_ranks}: it is empty, "
                "all of it is faulty, or it has fewer records than there are processes; read it as a table instead"
            )
        self.epoch += 1
        self._position = self.first_position()
        self._has_given = False


class ShardedStream(RecordStream):
    """Records of shards that a function reads.

    If the number of shards is a multiple of the number of ranks, each rank reads shards of its own (others in each
    epoch), else each reads all of them and keeps every n-th record, as `datasets` does. The latter costs reading time:
    the number of shards should be a multiple of the number of processes (`parts` of a corpus reader). After a resume
    the current shard is read again up to its position, without decoding audio: many small shards resume faster.

    Args:
        shards: names of the shards, usually paths.
        read_shard: name -> records, always in the same order; a `CorpusReader` or a `ManifestShardReader`.
        block_bytes: a block ends early when its recordings have this many bytes. Each stream holds one block: 200
            streams of speech (a hundred languages, two tasks) take 1.6 GB in each process.
        failures: counts truncated shards, whose rest is skipped; None raises.
        kwargs: as in `RecordStream`.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        read_shard: Callable[[str], Iterable[SpeechTextRecord]],
        *,
        block_bytes: int = 8 * 1024**2,
        failures: FaultCount | None = None,
        **kwargs: Any,
    ) -> None:
        if not shards:
            raise ValueError(f"stream {kwargs.get('name')!r} has no shards")
        if len(set(map(str, shards))) != len(shards):
            raise ValueError(f"stream {kwargs.get('name')!r} has a shard twice")
        self.shards = [str(shard) for shard in shards]
        self.read_shard, self.block_bytes, self.failures = read_shard, block_bytes, failures
        self._records: Iterator[SpeechTextRecord] | None = None
        self._reads: tuple[int, Position] | None = None
        self._own: tuple[int, list[int]] = (-1, [])
        super().__init__(**kwargs)

    @property
    def reads_all_shards(self) -> bool:
        """Whether each rank reads all shards and keeps a part of the records."""
        return len(self.shards) % self.num_ranks != 0

    def own_shards(self) -> list[int]:
        """Numbers of the shards that this rank reads in the current epoch, in this order."""
        if self._own[0] != self.epoch:
            order = list(range(len(self.shards)))
            if self.shuffle:
                generator = counter_generator(self.seed, self.name, "shards", self.epoch)
                # Each half is shuffled by itself, so that what ends one epoch does not begin the next one.
                halves = np.array_split(np.arange(len(self.shards)), 2)
                order = [number for half in halves for number in generator.permutation(half).tolist()]
            self._own = (self.epoch, order if self.reads_all_shards else order[self.rank :: self.num_ranks])
        return self._own[1]

    def first_position(self) -> Position:
        """The first record of the first shard; `record` counts what the shard gave before, of all ranks."""
        return {"shard": 0, "record": 0}

    def read_block(self, position: Position) -> tuple[list[SpeechTextRecord], Position | None]:
        """At most `block_size` records of one shard."""
        shard = self.own_shards()[position["shard"]]
        if self._records is None or self._reads != (self.epoch, position):
            self._records = self._opened(self.shards[shard])
            for _ in range(position["record"]):
                next(self._records, None)
        number, num_bytes = position["record"], 0
        block: list[SpeechTextRecord] = []
        while len(block) < self.block_size and num_bytes < self.block_bytes:
            record = next(self._records, None)
            if record is None:
                self._records = None
                following = position["shard"] + 1
                return block, {"shard": following, "record": 0} if following < len(self.own_shards()) else None
            if not self.reads_all_shards or (number + shard) % self.num_ranks == self.rank:
                block.append(record)
                num_bytes += _num_audio_bytes(record.audio)
            number += 1
        following_position = {"shard": position["shard"], "record": number}
        self._reads = (self.epoch, following_position)
        return block, following_position

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """As the parent, with the names of the shards, without their folders."""
        return *super().fingerprint_parts(), self.block_bytes, [PurePath(shard).name for shard in self.shards]

    def _opened(self, shard: str) -> Iterator[SpeechTextRecord]:
        try:
            yield from self.read_shard(shard)
        except (RecordError, OSError, EOFError) as error:
            if self.failures is None:
                raise
            self.failures.add(f"{self.name}: {error}")

    def _place(self) -> list[Any]:
        return [self.own_shards()[self._position["shard"]], self._position["record"]]


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
        from datasets.distributed import split_dataset_by_node

        super().__init__(**kwargs)
        if _has_shuffle_buffer(getattr(dataset, "_ex_iterable", None)):
            raise ValueError(
                f"stream {self.name!r}: the data set has a shuffle buffer, whose content no checkpoint holds; leave "
                "`shuffle` out, the stream shuffles by blocks"
            )
        # A data set has its own position, and two tasks may use the same one.
        encoded = keep_audio_encoded(copy.deepcopy(dataset))
        self.by_rows = by_rows
        self.dataset: Any = encoded
        if not by_rows:
            self.dataset = split_dataset_by_node(encoded, rank=self.rank, world_size=self.num_ranks)
        self.failures = failures
        names = list(dataset.column_names or next(iter(dataset), {}))
        self._rows = RowReader(columns, lang, corpus, Path(root), names=names, place=corpus)
        self._iterator: Iterator[Any] | None = None
        self._reads: tuple[int, int] | None = None

    def first_position(self) -> Position:
        """The beginning of the data set; `row` counts what it gave to this rank."""
        return {"row": 0, "dataset": None}

    def read_block(self, position: Position) -> tuple[list[SpeechTextRecord], Position | None]:
        """The next `block_size` rows, faulty ones left out."""
        if self._iterator is None or self._reads != (self.epoch, position["row"]):
            self.dataset.set_epoch(self.epoch)
            self.dataset.load_state_dict(position["dataset"])
            self._iterator = iter(self.dataset)
        block: list[SpeechTextRecord] = []
        for number in range(position["row"], position["row"] + self.block_size):
            row = self._next_row()
            if row is None:
                self._iterator = None
                return block, None
            record = self._record(row, number)
            if record is not None:
                block.append(record)
        following = position["row"] + self.block_size
        self._reads = (self.epoch, following)
        return block, {"row": following, "dataset": self.dataset.state_dict()}

    def _next_row(self) -> Any:
        """The next row of this process, None at the end."""
        assert self._iterator is not None
        if not self.by_rows:
            return next(self._iterator, None)
        # Always whole groups, so that a state is taken between two of them.
        group = list(islice(self._iterator, self.num_ranks))
        return group[self.rank] if len(group) > self.rank else None

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """As the parent, with the number of shards."""
        return *super().fingerprint_parts(), getattr(self.dataset, "num_shards", None)

    def _record(self, row: Mapping[str, Any], number: int) -> SpeechTextRecord | None:
        # Without a column of ids: unique over the ranks, and the same in every epoch as long as their number is.
        default_id = f"{self.rank}.{number}"
        try:
            record = self._rows.record(row, f"{self.name}, row {number} of process {self.rank}", default_id)
        except RecordError as error:
            if self.failures is None:
                raise
            self.failures.add(str(error))
            return None
        if self.failures is not None:
            self.failures.add(None)
        return record


def _num_audio_bytes(audio: Any) -> int:
    content = audio.get("bytes") if isinstance(audio, Mapping) else audio
    return len(content) if isinstance(content, bytes) else 0


def _has_shuffle_buffer(iterable: Any) -> bool:
    """Whether one of the steps of a data set is a shuffle buffer of more than one record."""
    if iterable is None:
        return False
    if type(iterable).__name__ == "BufferShuffledExamplesIterable" and iterable.buffer_size > 1:
        return True
    inner = [getattr(iterable, "ex_iterable", None), *(getattr(iterable, "ex_iterables", None) or [])]
    return any(_has_shuffle_buffer(part) for part in inner)
