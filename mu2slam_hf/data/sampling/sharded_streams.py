# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Streams over shards: several are read at a time and shuffled together, and each is continued by seeking."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from zlib import crc32

import numpy as np

from mu2slam_hf.data.corpora.reader import FaultCount, PlacedRecords
from mu2slam_hf.data.file_parts import RowPosition
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import RecordError, SpeechTextRecord
from mu2slam_hf.data.sampling.record_streams import NumberedRecord, Position, RecordStream


class ShardedStream(RecordStream):
    """Records of shards that a function reads.

    A block takes records in turn from several shards, so that what is shuffled together comes from all of them.

    If the number of shards is a multiple of the number of ranks, each rank reads shards of its own (others in each
    epoch), else each reads all of them and keeps every n-th record, as `datasets` does. The latter costs reading time:
    the number of shards should be a multiple of the number of processes (`parts` of a corpus reader).

    After a resume, reading goes on at the positions of the shards by seeking, where `read_shard` has a method
    `read_from`; a compressed shard is decompressed up to there, and rows of a plain function are read again.

    Args:
        shards: names of the shards, usually paths.
        read_shard: name -> records, always in the same order; a `CorpusReader` or a `ManifestShardReader`.
        num_mixed_shards: number of shards that are read at a time. Each is an open file; of Parquet, also a row group
            in memory.
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
        num_mixed_shards: int = 4,
        block_bytes: int = 8 * 1024**2,
        failures: FaultCount | None = None,
        **kwargs: Any,
    ) -> None:
        if not shards:
            raise ValueError(f"stream {kwargs.get('name')!r} has no shards")
        if len(set(map(str, shards))) != len(shards):
            raise ValueError(f"stream {kwargs.get('name')!r} has a shard twice")
        if num_mixed_shards < 1:
            raise ValueError(f"`num_mixed_shards` must be at least 1, got {num_mixed_shards}")
        self.shards = [str(shard) for shard in shards]
        self.read_shard, self.block_bytes, self.failures = read_shard, block_bytes, failures
        self.num_mixed_shards = num_mixed_shards
        self._open: list[_OpenShard] = []
        self._reads: Any = None
        self._own: tuple[Any, list[int]] = (None, [])
        super().__init__(**kwargs)

    @property
    def reads_all_shards(self) -> bool:
        """Whether each rank reads all shards and keeps a part of the records."""
        return len(self.shards) % self.share.num_ranks != 0

    def own_shards(self) -> list[int]:
        """Numbers of the shards that this rank reads in the current epoch, in this order."""
        if self._own[0] != (self.epoch, self.share):
            order = list(range(len(self.shards)))
            if self.shuffle:
                generator = counter_generator(self.seed, self.name, "shards", self.epoch)
                # Each half is shuffled by itself, so that what ends one epoch does not begin the next one.
                order = [number for half in self._halves() for number in generator.permutation(half).tolist()]
            own = order if self.reads_all_shards else order[self.share.rank :: self.share.num_ranks]
            self._own = ((self.epoch, self.share), own)
        return self._own[1]

    def first_position(self) -> Position:
        """No shard is begun.

        `begun` counts own shards; `open` has, of each that is not at its end, its place among them, the number of
        records it has given (of all ranks), and its `RowPosition`.
        """
        return {"begun": 0, "open": []}

    def read_block(self, position: Position) -> tuple[list[NumberedRecord], Position | None]:
        """At most `block_size` records, in turn from the open shards; of one shard if they are not shuffled."""
        if self._reads != (self.epoch, self.share, position):
            self._open = [
                self._open_shard(place, number, RowPosition(*row)) for place, number, *row in position["open"]
            ]
        begun, turn = position["begun"], 0
        block: list[NumberedRecord] = []
        num_bytes = 0
        while len(block) < self.block_size and num_bytes < self.block_bytes:
            while self._may_open(begun):
                self._open.append(self._open_shard(begun, 0, RowPosition()))
                begun += 1
            if not self._open:
                self._reads = None
                return block, None
            shard = self._open[turn % len(self._open)]
            records = shard.next_records()
            if records is None:
                self._open.remove(shard)
                continue
            for number, record in records:
                if self._is_mine(shard.shard, number):
                    block.append((self._number_of(shard.shard, number), record))
                    num_bytes += _num_audio_bytes(record.audio)
            turn += 1
        following: Position = {"begun": begun, "open": [shard.state() for shard in self._open]}
        self._reads = (self.epoch, self.share, following)
        return block, following

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """As the parent, with the names of the shards, without their folders."""
        names = [PurePath(shard).name for shard in self.shards]
        return *super().fingerprint_parts(), self.block_bytes, self.num_mixed_shards, names

    def _halves(self) -> list[Any]:
        return np.array_split(np.arange(len(self.shards)), 2)

    def _may_open(self, begun: int) -> bool:
        """Whether the next shard is to be begun beside the open ones."""
        own = self.own_shards()
        if begun == len(own) or not self._open:
            return begun < len(own)
        if not self.shuffle or len(self._open) >= self.num_mixed_shards:
            return False
        if len(own) <= self.num_mixed_shards:
            return True
        # The halves of an epoch stay apart, see `own_shards`.
        size = len(self._halves()[0])
        return (own[begun] < size) == (self._open[0].shard < size)

    def _open_shard(self, place: int, number: int, start: RowPosition) -> "_OpenShard":
        shard = self.own_shards()[place]
        return _OpenShard(place, shard, number, start, self._rows_of(self.shards[shard], start))

    def _rows_of(self, shard: str, start: RowPosition) -> Iterator[PlacedRecords]:
        try:
            if hasattr(self.read_shard, "read_from"):
                yield from self.read_shard.read_from(shard, start)
                return
            for row, record in enumerate(self.read_shard(shard), start=1):
                if row > start.row:
                    yield [record], RowPosition(row)
        except (RecordError, OSError, EOFError) as error:
            if self.failures is None:
                raise
            self.failures.add(f"{self.name}: {error}")

    def _is_mine(self, shard: int, number: int) -> bool:
        return not self.reads_all_shards or (number + shard) % self.share.num_ranks == self.share.rank

    def _number_of(self, shard: int, number: int) -> int:
        """A number that is the same in each epoch, and consecutive over the records of a shard that a rank keeps."""
        first = crc32(PurePath(self.shards[shard]).name.encode())
        return first + (number // self.share.num_ranks if self.reads_all_shards else number)

    def _place(self) -> list[Any]:
        opened = [value for state in self._position["open"] for value in state[:3]]
        return [self._position["begun"], *opened]


class _OpenShard:
    """A shard that is being read.

    Args:
        place: its place among the shards of the rank in the epoch.
        shard: its number among all shards.
        number: number of records that it has given.
        position: where its next row begins.
        rows: its records from there on.
    """

    def __init__(
        self, place: int, shard: int, number: int, position: RowPosition, rows: Iterator[PlacedRecords]
    ) -> None:
        self.place, self.shard, self.number, self.position, self._rows = place, shard, number, position, rows

    def next_records(self) -> list[NumberedRecord] | None:
        """The records of the next row, each with its number within the shard; None at the end."""
        results = next(self._rows, None)
        if results is None:
            return None
        records, self.position = results
        first, self.number = self.number, self.number + len(records)
        return list(enumerate(records, start=first))

    def state(self) -> list[int]:
        """JSON-serialisable; see `ShardedStream.first_position`."""
        return [self.place, self.number, *self.position]


def _num_audio_bytes(audio: Any) -> int:
    content = audio.get("bytes") if isinstance(audio, Mapping) else audio
    return len(content) if isinstance(content, bytes) else 0
