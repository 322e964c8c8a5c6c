# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The base of all streams of records: divided over ranks, shuffled by blocks, resumed exactly.

Choice: shuffling is a permutation of the shards and a permutation within blocks of records, both functions of seed,
epoch and position. So the state is a position and an offset; a shuffle buffer, as in `datasets`, would have to be
stored with it, or be lost.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import SpeechTextRecord

Position = dict[str, Any]
NumberedRecord = tuple[int, SpeechTextRecord]


class Share(NamedTuple):
    """The part of an epoch that a process reads: that of process `rank` of `num_ranks`."""

    rank: int
    num_ranks: int


class RecordStream(ABC):
    """Records of one rank, epoch after epoch, without end.

    Over all ranks each record occurs exactly once in an epoch; ranks need not begin their epochs at the same time.

    After a resume on another number of processes (`divide_states`), a stream first reads what the former processes
    left of their epochs, as they would have read it, and then begins an epoch of its own.

    Args:
        name: unique among the streams of a run; its random orders depend on it.
        seed: seed of the run.
        rank: rank of this process.
        num_ranks: number of processes.
        shuffle: False: records in the order of the shards.
        block_size: records that are held in memory and shuffled together.
        max_duration_seconds: longer recordings are to be left out by who reads their headers; None for no bound.

    Attributes:
        record_number: number of the record that was read last: the same in each epoch, and consecutive for records
            that follow each other in a shard.
        num_ended_epochs: epochs of this process that have ended.
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
        max_duration_seconds: float | None = None,
    ) -> None:
        if not 0 <= rank < num_ranks:
            raise ValueError(f"`rank` must be in [0, {num_ranks}), got {rank}")
        if block_size < 1:
            raise ValueError(f"`block_size` must be at least 1, got {block_size}")
        self.name, self.seed, self.rank, self.num_ranks = name, seed, rank, num_ranks
        self.shuffle, self.block_size, self.max_duration_seconds = shuffle, block_size, max_duration_seconds
        self.epoch = 0
        self.share = Share(rank, num_ranks)
        self._tails: list[Mapping[str, Any]] = []
        self._next_epoch = 1
        self._position = self.first_position()
        self._next: Position | None = None
        self._offset = 0
        self._block: list[NumberedRecord | None] | None = None
        self._has_given = False
        self.record_number = self.num_ended_epochs = 0

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
                numbered, self._block[self._offset] = self._block[self._offset], None
                assert numbered is not None
                self.record_number, record = numbered
                self._offset += 1
                self._has_given = True
                return self.epoch, record
            self._to_next_block()

    def state_dict(self) -> dict[str, Any]:
        """Position of the next record; JSON-serialisable."""
        state = {"epoch": self.epoch, "position": dict(self._position), "offset": self._offset}
        if self.share == (self.rank, self.num_ranks) and not self._tails and self._next_epoch == self.epoch + 1:
            return state
        return {**state, "share": list(self.share), "tails": list(self._tails), "next_epoch": self._next_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of `state`."""
        self._tails = list(state.get("tails", ()))
        self._next_epoch = int(state.get("next_epoch", int(state["epoch"]) + 1))
        self._go_to(state)

    @abstractmethod
    def first_position(self) -> Position:
        """Position of the beginning of an epoch."""

    @abstractmethod
    def read_block(self, position: Position) -> tuple[list[NumberedRecord], Position | None]:
        """Numbered records of the block that begins at a position, in their order, and where the next one begins.

        They are those of `share` in `epoch`. The next position is None at the end of the epoch. A block may be empty.
        """

    def fingerprint_parts(self) -> tuple[Any, ...]:
        """Settings that the records at a position depend on, except the number of processes."""
        return self.name, self.seed, self.shuffle, self.block_size

    def _fill_block(self) -> None:
        numbered, self._next = self.read_block(self._position)
        order = list(range(len(numbered)))
        if self.shuffle:
            generator = counter_generator(self.seed, self.name, "block", self.epoch, *self.share, *self._place())
            order = generator.permutation(len(numbered)).tolist()
        self._block = [None] * min(self._offset, len(numbered))
        self._block += [numbered[number] for number in order[self._offset :]]

    def _place(self) -> list[Any]:
        """Numbers that identify the block within the epoch."""
        return [value for _, value in sorted(self._position.items()) if isinstance(value, int)]

    def _go_to(self, state: Mapping[str, Any]) -> None:
        self.epoch, self._offset = int(state["epoch"]), int(state["offset"])
        self.share = Share(*state.get("share", (self.rank, self.num_ranks)))
        self._position = self.first_position() if state["position"] is None else dict(state["position"])
        self._block = None
        self._has_given = True

    def _to_next_block(self) -> None:
        self._block, self._offset = None, 0
        if self._next is not None:
            self._position = self._next
        elif self._tails:
            self._go_to(self._tails.pop(0))
        else:
            self._begin_epoch()

    def _begin_epoch(self) -> None:
        if not self._has_given:
            raise ValueError(
                f"stream {self.name!r} has no record for process {self.rank + 1} of {self.num_ranks}: it is empty, "
                "all of it is faulty, or it has fewer records than there are processes; read it as a table instead"
            )
        self.num_ended_epochs += 1
        self.epoch, self.share = self._next_epoch, Share(self.rank, self.num_ranks)
        self._next_epoch += 1
        self._position = self.first_position()
        self._has_given = False


def divide_states(states: Sequence[Mapping[str, Any]], num_ranks: int) -> list[dict[str, Any]]:
    """States of one stream in some number of processes, for another number: nothing is lost or read twice.

    What the former processes left of their epochs is given to the new ones whole, first come, first served. Who gets
    nothing begins the first epoch that no former process had begun.

    Args:
        states: of the former processes, in their order.
        num_ranks: number of processes now.

    Returns:
        States of the new processes, in their order.
    """
    tails: list[dict[str, Any]] = []
    last = max(_begun_epoch(state) for state in states)
    for rank, state in enumerate(states):
        own = {"share": [rank, len(states)], **{key: state[key] for key in ("epoch", "position", "offset")}}
        tails.append({**own, "share": list(state.get("share", own["share"]))})
        tails += map(dict, state.get("tails", ()))
        first = int(state.get("next_epoch", int(state["epoch"]) + 1))
        tails += [
            {"share": [rank, len(states)], "epoch": epoch, "position": None, "offset": 0}
            for epoch in range(first, last + 1)
        ]
    tails.sort(key=lambda tail: tail["epoch"])
    divided: list[dict[str, Any]] = []
    for rank in range(num_ranks):
        mine = tails[rank::num_ranks]
        if not mine:
            divided.append({"epoch": last + 1, "position": None, "offset": 0})
        else:
            divided.append({**mine[0], "tails": mine[1:], "next_epoch": last + 1})
    return divided


def _begun_epoch(state: Mapping[str, Any]) -> int:
    """The latest epoch of which a process has read a part, or would have, once what others left is read."""
    return int(state["next_epoch"]) - 1 if "next_epoch" in state else int(state["epoch"])
