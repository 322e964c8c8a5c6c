# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mixed batches over streams: as over tables, for corpora that do not fit into memory; each process has its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.sampling.example_streams import ExampleStream, SourceChoice, StreamSource
from mu2slam_hf.data.sampling.mixture import source_shares
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.data.sampling.mixture_report import TaskSummary
from mu2slam_hf.data.sampling.record_streams import divide_states
from mu2slam_hf.data.sampling.task_order import TaskOrder

ORDER_VERSION = 3
"""Number of the rule by which streams are drawn from; states of another one cannot be continued."""


class StreamBatchSampler(ResumableBatchSampler):
    """Batches of streamed examples; keys bring their examples along, so loader workers only decode audio.

    Tasks take turns as in `TableBatchSampler`, and a micro-batch takes the next `sum(shares)` turns of its process, or
    fewer where a budget ends it; the turn that did not fit opens the next one. Within a task the n-th turn goes to the
    source that the n-th number of a low-discrepancy sequence selects.

    Choice (languages): temperature over the declared sizes of languages, corpora within a language by weighted size.
    The sequence is the multiples of the golden ratio: any stretch has all shares within about one draw, there is no
    state, and each process starts elsewhere in it, so that they do not all draw one language at once.

    Args:
        sources: sources of all tasks.
        config: shares, temperatures, weights and budgets (of one micro-batch).
        builders: task -> how examples are made of records; default: without limits. An example that exceeds a budget
            by itself is left out and counted in `left_out` of the builder.
        failures: counts recordings without a readable length; None raises at the first.
        seed: seed of the run.
        kwargs: as in `ResumableBatchSampler`; the streams must be those of this rank.

    Raises:
        ValueError: a task with a share has no source, or two sources share a name or a stream.
    """

    kind = "streams"
    cursor = ("num_draws",)
    state_is_per_rank = True
    reads_files = True

    def __init__(
        self,
        sources: Sequence[StreamSource],
        config: MixtureConfig | None = None,
        *,
        builders: Mapping[str, ExampleBuilder] | None = None,
        failures: FaultCount | None = None,
        seed: int = 0,
        **kwargs: int,
    ) -> None:
        super().__init__(**kwargs)
        self.config, self.seed = config or MixtureConfig(), seed
        self.order = TaskOrder(self.config.shares)
        self.sources = [source for source in sources if source.task in self.order.tasks]
        self._check_sources()
        given = builders or {}
        self.builders = {
            task: given.get(task) or ExampleBuilder(tasks=[task], one_target=True) for task in self.order.tasks
        }
        self.streams = {
            source.name: ExampleStream(source.stream, self.builders[source.task], self._exceeds_budget, failures)
            for source in self.sources
        }
        self.choices = {
            task: SourceChoice(self.source_shares(task), seed, task, self.rank) for task in self.order.tasks
        }
        self.num_draws = 0
        self._states = {name: stream.state_dict() for name, stream in self.streams.items()}

    def take_batch(self) -> list[DrawKey]:
        """The next turns of this process, up to the budgets."""
        batch: list[DrawKey] = []
        seconds, tokens = 0.0, 0
        turns = self.order.num_before(self.num_draws)
        for number in self.order.turns(self.num_draws, len(self.order)).tolist():
            task = self.order.tasks[number]
            name = self.choices[task](turns[task])
            example, epoch = self.streams[name].peek()
            seconds, tokens = seconds + example.duration_seconds, tokens + example.num_text_tokens
            if batch and self.config.exceeded_by(seconds, tokens):
                break
            self.streams[name].advance()
            self._states[name] = self.streams[name].state_dict()
            turns[task] += 1
            batch.append(DrawKey(example, epoch))
        self.num_draws += len(batch)
        return batch

    def source_shares(self, task: str) -> dict[str, float]:
        """Source -> share of the task's draws."""
        weights = self.config.corpus_weights.get(task, {})
        sizes = {
            source.name: (source.lang, source.size * float(weights.get(source.corpus, 1.0)))
            for source in self.sources
            if source.task == task
        }
        return source_shares(sizes, self.config.temperature(task))

    def summarize(self) -> list[TaskSummary]:
        """Languages of each task and their shares; streams have no other known sizes."""
        langs = {source.name: source.lang for source in self.sources}
        return [
            TaskSummary.of_quotas(
                task,
                self.config.shares[task],
                [(langs[name], share) for name, share in self.source_shares(task).items()],
            )
            for task in self.order.tasks
        ]

    def state_dict(self) -> dict[str, Any]:
        """Position of this process and each of its streams; JSON-serialisable."""
        return {**super().state_dict(), "streams": dict(self._states)}

    def state_from_ranks(self, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """See the base class.

        Each stream is divided by `divide_states`. The new processes go on with the mean number of draws: any stretch
        of the order of tasks and sources has their shares.

        Raises:
            ValueError: the states belong to the middle of an update, or are not those of all processes of one run.
        """
        if any(int(state["micro_batch"]) for state in states):
            raise ValueError(
                "Cannot resume in the middle of an update with another number of processes; use a checkpoint from the "
                "end of an update."
            )
        indices = [list(state["place"]) for state in states]
        if indices != [[rank, len(states)] for rank in range(len(states))] or any(
            state["fingerprint"] != states[0]["fingerprint"] for state in states
        ):
            raise ValueError(
                f"Cannot resume: expected the states of all processes of one run, got those of {indices}."
            )
        streams = {
            name: {
                "records": divide_states([s["streams"][name]["records"] for s in states], self.num_ranks)[self.rank]
            }
            for name in states[0]["streams"]
        }
        num_draws = round(sum(int(state["num_draws"]) for state in states) / len(states))
        return {**states[0], "place": [self.rank, self.num_ranks], "num_draws": num_draws, "streams": streams}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        super().load_state_dict(state)
        self._states = dict(state["streams"])
        for name, stream in self.streams.items():
            stream.load_state_dict(self._states[name])

    def fingerprint_parts(self) -> dict[str, Any]:
        """Seed, configuration, settings of the examples, and the sources."""
        sources = sorted(self.sources, key=lambda source: source.name)
        return {
            "seed": self.seed,
            "version of the order of draws": ORDER_VERSION,
            **self.config.fingerprint_parts(),
            "languages, limits or tokenizer": {task: b.fingerprint_parts() for task, b in self.builders.items()},
            "shards or sizes": [(s.name, float(s.size), s.stream.fingerprint_parts()) for s in sources],
        }

    def _check_sources(self) -> None:
        names = Counter(source.name for source in self.sources)
        twice = [name for name, count in names.items() if count > 1]
        if twice or len({id(source.stream) for source in self.sources}) < len(self.sources):
            raise ValueError(
                f"each source needs a name and a stream of its own; occurring twice: {twice or 'a stream'}"
            )
        for task in self.order.tasks:
            corpora = {source.corpus for source in self.sources if source.task == task}
            if not corpora:
                raise ValueError(
                    f"`shares` has {task}, but there is no stream for it; add a corpus or set its share to 0"
                )
            unknown = sorted(set(self.config.corpus_weights.get(task, {})) - corpora)
            if unknown:
                raise ValueError(f"`corpus_weights[{task}]` names {unknown}; there are streams of {sorted(corpora)}")
        for source in self.sources:
            if (source.stream.rank, source.stream.num_ranks) != (self.rank, self.num_ranks):
                raise ValueError(
                    f"stream {source.name!r} is that of process {source.stream.rank} of {source.stream.num_ranks}, "
                    f"but this is {self.rank} of {self.num_ranks}"
                )

    def _exceeds_budget(self, example: Example) -> bool:
        """Whether an example by itself exceeds a budget."""
        return self.config.exceeded_by(example.duration_seconds, example.num_text_tokens)
