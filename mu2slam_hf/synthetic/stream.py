# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Synthetic speech as a stream for data loaders: divided by blocks over ranks and workers, with a state."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.synthetic.generator import SyntheticSpeech


class SyntheticSpeechStream(IterableDataset[SpeechTextRecord]):
    """Blocks of a `SyntheticSpeech`, those of one shard; every worker of a data loader takes a part of the shard.

    The state is that of the process that iterates: take it with a loader that asks its workers
    (`torchdata`'s stateful one), or iterate without workers.
    """

    def __init__(self, speech: SyntheticSpeech, *, num_shards: int = 1, shard: int = 0) -> None:
        """Take shard `shard` of `num_shards`, usually one for each rank.

        Raises:
            ValueError: there is no such shard.
        """
        if not 0 <= shard < num_shards:
            raise ValueError(f"shard must lie in 0 to {num_shards - 1}, got {shard}")
        self.speech, self.num_shards, self.shard = speech, num_shards, shard
        self._turn, self._place = 0, 0

    def __iter__(self) -> Iterator[SpeechTextRecord]:
        """Items of the blocks `first`, `first + step`, ... from the current position on."""
        worker = get_worker_info()
        workers, own = (1, 0) if worker is None else (worker.num_workers, worker.id)
        step, first = self.num_shards * workers, self.shard * workers + own
        while first + self._turn * step < self.speech.num_blocks:
            block = self.speech.block(first + self._turn * step)
            while self._place < len(block):
                self._place += 1
                yield block[self._place - 1]
            self._turn, self._place = self._turn + 1, 0
        self._turn = 0

    def state_dict(self) -> dict[str, Any]:
        """Position of this process in its blocks, and the identity of the stream."""
        state = self.speech.state_dict()
        return {**state, "turn": self._turn, "place": self._place, "num_shards": self.num_shards, "shard": self.shard}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where a state was taken.

        Raises:
            ValueError: the state comes from another stream or shard.
        """
        if (state["num_shards"], state["shard"]) != (self.num_shards, self.shard):
            raise ValueError(
                f"the state is of shard {state['shard']} of {state['num_shards']}, this is shard {self.shard} of "
                f"{self.num_shards}; resume with the same number of ranks"
            )
        self.speech.load_state_dict(state)
        self._turn, self._place = int(state["turn"]), int(state["place"])
