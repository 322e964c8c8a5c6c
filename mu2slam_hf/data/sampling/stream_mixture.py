# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mixed batches over streams: as over tables, for corpora that no memory holds; each rank has a state of its own."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from torch.utils.data import Sampler

from mu2slam_hf.data.corpora.reader import FaultCount
from mu2slam_hf.data.examples.builder import ExampleBuilder
from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.example_streams import ExampleStream, SourceChoice, StreamSource
from mu2slam_hf.data.sampling.mixture import temperature_shares
from mu2slam_hf.data.sampling.task_shares import TaskMixtureConfig, TaskOrder


class StreamMixtureSampler(Sampler[list[DrawKey]]):
    """A `batch_sampler` that goes on for ever; its keys bring their examples, so loader workers only decode audio.

    Tasks take turns as in `TaskMixtureSampler`, and a micro-batch takes the next `sum(shares)` turns of its rank, or
    fewer where a budget ends it; the turn that did not fit opens the next one. Within a task the n-th turn goes to the
    source that the n-th number of a low-discrepancy sequence falls to.

    Choice (languages): temperature over the declared sizes of languages, corpora within a language by weighted size.
    The sequence is the multiples of the golden ratio: any stretch has all shares within about one draw, there is no
    state, and each rank starts elsewhere in it, so that they do not all draw one language at once.

    Args:
        sources: of all tasks.
        config: shares, temperatures, weights and budgets (of one micro-batch).
        builders: task -> how examples are made of records; default: without limits. Where no single example fits a
            budget, it is left out and counted in `left_out` of the builder.
        failures: counts recordings without a readable length; None raises at the first.
        seed: seed of the run.
        rank: rank of this process; its streams must be those of this rank.
        num_ranks: number of processes.
        batches_per_step: micro-batches of one update in each process.

    Raises:
        ValueError: a task with a share has no source, or sources are not told apart.
    """

    state_is_per_rank = True

    def __init__(
        self,
        sources: Sequence[StreamSource],
        config: TaskMixtureConfig | None = None,
        *,
        builders: Mapping[str, ExampleBuilder] | None = None,
        failures: FaultCount | None = None,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        batches_per_step: int = 1,
    ) -> None:
        if batches_per_step < 1:
            raise ValueError(f"`batches_per_step` must be at least 1, got {batches_per_step}")
        self.config, self.seed = config or TaskMixtureConfig(), seed
        self.rank, self.num_ranks, self.batches_per_step = rank, num_ranks, batches_per_step
        self.order = TaskOrder(self.config.shares)
        self.sources = [source for source in sources if source.task in self.order.tasks]
        self._check_sources()
        self.builders = {
            task: (builders or {}).get(task) or ExampleBuilder(tasks=[task], one_target=True)
            for task in self.order.tasks
        }
        self.streams = {
            source.name: ExampleStream(source.stream, self.builders[source.task], self._is_beyond_alone, failures)
            for source in self.sources
        }
        self.choices = {task: SourceChoice(self.source_shares(task), seed, task, rank) for task in self.order.tasks}
        self.num_steps = self.num_draws = self.micro_batch = 0
        self._states = {name: stream.state_dict() for name, stream in self.streams.items()}
        self._fingerprint: str | None = None

    def __iter__(self) -> Iterator[list[DrawKey]]:
        """Batches of this rank, from the present state on."""
        while True:
            batch = self._take_batch()
            self.micro_batch += 1
            if self.micro_batch == self.batches_per_step:
                self.micro_batch = 0
                self.num_steps += 1
            yield batch

    def source_shares(self, task: str) -> dict[str, float]:
        """Source -> share of the task's draws."""
        weights = self.config.corpus_weights.get(task, {})
        sizes = {
            source.name: (source.lang, source.size * float(weights.get(source.corpus, 1.0)))
            for source in self.sources
            if source.task == task
        }
        by_lang: dict[str, float] = defaultdict(float)
        for lang, size in sizes.values():
            by_lang[lang] += size
        shares = temperature_shares(by_lang, self.config.temperature(task))
        return {name: shares[lang] * size / by_lang[lang] for name, (lang, size) in sizes.items() if size > 0}

    def epochs(self) -> dict[str, float]:
        """Task -> how often its data have been gone through, on average over its draws, for logs."""
        return {
            task: sum(share * self.streams[name].epoch for name, share in self.source_shares(task).items())
            for task in self.order.tasks
        }

    def state_dict(self) -> dict[str, Any]:
        """Where this rank stands; JSON-serialisable."""
        return {
            "num_steps": self.num_steps,
            "num_draws": self.num_draws,
            "micro_batch": self.micro_batch,
            "rank": self.rank,
            "num_ranks": self.num_ranks,
            "batches_per_step": self.batches_per_step,
            "fingerprint": self.fingerprint(),
            "streams": dict(self._states),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the one at which `state` was taken.

        Raises:
            ValueError: sources, configuration, seed, number of processes or rank are not those of the state.
        """
        if "streams" not in state:
            raise ValueError("The state is not one of a mixture over streams; was the run trained on tables?")
        for name, now in (("num_ranks", self.num_ranks), ("batches_per_step", self.batches_per_step)):
            if int(state[name]) != now:
                raise ValueError(
                    f"Cannot resume: the checkpoint's {name} is {state[name]}, now it is {now}. Streams are divided "
                    "among the processes, so their number must stay; use as many as before."
                )
        if int(state["rank"]) != self.rank:
            raise ValueError(f"This is the state of process {state['rank']}, not of {self.rank}; each has its own.")
        if state["fingerprint"] != self.fingerprint():
            raise ValueError(
                "Cannot resume: shards, sizes, shares, temperatures, corpus weights, budgets, limits, tokenizer or "
                "seed differ from those of the checkpoint. Use the same ones, or start a new run with "
                "model.init_from set to the checkpoint."
            )
        self.num_steps, self.num_draws = int(state["num_steps"]), int(state["num_draws"])
        self.micro_batch = int(state["micro_batch"])
        self._states = dict(state["streams"])
        for name, stream in self.streams.items():
            stream.load_state_dict(self._states[name])

    def fingerprint(self) -> str:
        """Hash of all that the draws hang on; equal on every rank."""
        if self._fingerprint is None:
            parts: list[Any] = [self.seed, self.config.to_dict()]
            for task, builder in sorted(self.builders.items()):
                parts.append([task, *builder.fingerprint_parts()])
            for source in sorted(self.sources, key=lambda source: source.name):
                parts.append([source.name, float(source.size), source.stream.fingerprint()])
            self._fingerprint = blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()
        return self._fingerprint

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

    def _take_batch(self) -> list[DrawKey]:
        batch: list[DrawKey] = []
        seconds, tokens = 0.0, 0
        turns = self.order.num_before(self.num_draws)
        for number in self.order.turns(self.num_draws, len(self.order)).tolist():
            task = self.order.tasks[number]
            name = self.choices[task](turns[task])
            example, epoch = self.streams[name].peek()
            seconds, tokens = seconds + example.duration_seconds, tokens + example.num_text_tokens
            if batch and self._beyond_budget(seconds, tokens):
                break
            self.streams[name].advance()
            self._states[name] = self.streams[name].state_dict()
            turns[task] += 1
            batch.append(DrawKey(example, epoch=epoch, step=self.num_steps))
        self.num_draws += len(batch)
        return batch

    def _beyond_budget(self, seconds: float, tokens: int) -> bool:
        max_seconds, max_tokens = self.config.max_seconds, self.config.max_tokens
        return (max_seconds is not None and seconds > max_seconds) or (max_tokens is not None and tokens > max_tokens)

    def _is_beyond_alone(self, example: Example) -> bool:
        """Whether an example alone is beyond a budget."""
        return self._beyond_budget(example.duration_seconds, example.num_text_tokens)
