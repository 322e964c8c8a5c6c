# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Streams of examples: the sources of a task, their order, and the examples of their records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mu2slam_hf.data.audio import AudioError
from mu2slam_hf.data.corpora.manifest_shards import ManifestShardReader
from mu2slam_hf.data.corpora.reader import CorpusReader, FaultCount
from mu2slam_hf.data.durations import seconds_of
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import counter_generator
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.data.sampling.record_streams import RecordStream
from mu2slam_hf.data.sampling.sharded_streams import ShardedStream


@dataclass(frozen=True, kw_only=True)
class StreamSource:
    """One stream of one task, with its weights for sampling.

    Attributes:
        task: one of `PRETRAINING_TASKS`.
        corpus: name for the weights of the mixture.
        lang: language for the temperature, or a pair for mt.
        size: declared, in any unit (hours, sentences, bytes) that all sources of the task share.
        stream: the records; no other source may have the same one.
    """

    task: str
    corpus: str
    lang: str
    size: float
    stream: RecordStream

    @property
    def name(self) -> str:
        """`task/corpus/lang`."""
        return f"{self.task}/{self.corpus}/{self.lang}"


class SourceChoice:
    """The source of the n-th draw of a task: a function of n.

    Args:
        shares: source -> share, summing to 1.
        seed: seed of the run.
        task: name of the task.
        rank: rank of this process.
    """

    _GOLDEN_RATIO = 0x9E3779B97F4A7C15  # its fractional part in units of 2 ** -64

    def __init__(self, shares: Mapping[str, float], seed: int, task: str, rank: int) -> None:
        self.names = list(shares)
        self._bounds = np.cumsum(list(shares.values()))
        self._start = int(counter_generator(seed, "sources", task, rank).integers(2**63))

    def __call__(self, number: int) -> str:
        """The source of draw `number`."""
        fraction = ((self._start + number * self._GOLDEN_RATIO) % 2**64) / 2**64
        index = int(np.searchsorted(self._bounds, fraction * self._bounds[-1], side="right"))
        return self.names[min(index, len(self.names) - 1)]


class ExampleStream:
    """Examples of a stream of records, one at a time; the next one can be inspected before it is taken.

    Choice: a record gives one of its examples in each epoch of the records. They take turns, beginning with the next
    one for each next record: a recording with 15 translations is not drawn 15 times in a row but once in each of 15
    epochs, with another translation each time, and any block of records has all translations equally often.

    Args:
        stream: the records.
        builder: makes examples of them.
        is_beyond: whether an example exceeds a budget; it is then left out and counted.
        failures: counts recordings without a readable length; None raises.
    """

    def __init__(
        self,
        stream: RecordStream,
        builder: ExampleBuilder,
        is_beyond: Callable[[Example], bool],
        failures: FaultCount | None = None,
    ) -> None:
        self.stream, self.builder, self.is_beyond, self.failures = stream, builder, is_beyond, failures
        self.epoch = 0
        self._next: Example | None = None
        self._before: dict[str, Any] = stream.state_dict()

    def peek(self) -> tuple[Example, int]:
        """The next example and its epoch; the state does not change.

        Raises:
            ValueError: a whole epoch of records has no example.
        """
        begun = self.stream.num_ended_epochs
        while self._next is None:
            self._before = self.stream.state_dict()
            self.epoch, record = self.stream.read()
            if self.stream.num_ended_epochs > begun + 1:
                raise ValueError(
                    f"stream {self.stream.name!r} has no example for task {self.builder.task_names} "
                    f"({self.builder.describe_left_out()})"
                )
            self._next = self._example_of(record, self.stream.record_number + self.epoch)
        return self._next, self.epoch

    def advance(self) -> None:
        """Move past the example that `peek` returned."""
        self._next = None

    def state_dict(self) -> dict[str, Any]:
        """Position of the next example; JSON-serialisable."""
        return {"records": self.stream.state_dict() if self._next is None else self._before}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of `state`."""
        self.stream.load_state_dict(state["records"])
        self.epoch = int(state["records"]["epoch"])
        self._next, self._before = None, dict(state["records"])

    def _example_of(self, record: SpeechTextRecord, turn: int) -> Example | None:
        if record.audio is not None and record.duration_seconds is None and self.builder.reads_audio:
            try:
                record = record.with_duration(seconds_of(None, record.audio, record.key))
            except AudioError as error:
                if self.failures is None:
                    raise
                self.failures.add(f"record {record.key}: {error}")
                return None
            longest = self.stream.max_duration_seconds
            if longest is not None and record.duration_seconds is not None and record.duration_seconds > longest:
                return None
        example = self.builder.example_of(record, turn)
        if example is not None and self.is_beyond(example):
            self.builder.left_out["beyond the budget of a batch"] += 1
            return None
        return example


def build_stream_sources(
    reader: CorpusReader | ManifestShardReader,
    task: str,
    *,
    corpus: str,
    shards: Mapping[str, Sequence[str]],
    sizes: Mapping[str, float],
    failures: FaultCount | None = None,
    **kwargs: Any,
) -> list[StreamSource]:
    """One source for each language of a corpus.

    Args:
        reader: of the corpus, or of manifests.
        task: one of `PRETRAINING_TASKS`.
        corpus: name of the corpus; the random orders of its streams depend on it.
        shards: language (or pair) -> shards.
        sizes: language -> size, in one unit for all sources of the task.
        failures: counts faulty rows and files, which are then skipped; None raises at the first.
        kwargs: passed on to `ShardedStream`.
    """
    # Headers are read behind the filter by ranks, see `ExampleStream`.
    read_shard = replace(reader, failures=failures, reads_headers=False)
    kwargs = {"max_duration_seconds": reader.max_duration_seconds, **kwargs}
    sources = []
    for lang, names in shards.items():
        stream = ShardedStream(names, read_shard, name=f"{task}/{corpus}/{lang}", failures=failures, **kwargs)
        sources.append(StreamSource(task=task, corpus=corpus, lang=lang, size=float(sizes[lang]), stream=stream))
    return sources
