# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mixed batches over tables of examples: a share for each task, the same for every split over devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from operator import attrgetter
from typing import Any

import numpy as np

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.sampling.dealing import deal_evenly
from mu2slam_hf.data.sampling.mixture import IntArray, Mixture
from mu2slam_hf.data.sampling.mixture_config import MixtureConfig
from mu2slam_hf.data.sampling.mixture_report import TaskSummary
from mu2slam_hf.data.sampling.task_order import TaskOrder

MIN_DISTANCE = 1000
"""Draws of a task between two of one recording, where an epoch has so many recordings."""


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """One update: draws in their order, each with the slot (micro-batch of a device) that computes it.

    Attributes:
        first: number of the first draw in the endless sequence.
        indices: `(n,)` positions of the examples.
        epochs: `(n,)` epoch of the task that each draw belongs to.
        copies: `(n,)` how often the example came before in that epoch.
        slots: `(n,)` rank * batches_per_step + micro-batch.
    """

    first: int
    indices: IntArray
    epochs: IntArray
    copies: IntArray
    slots: IntArray

    def __len__(self) -> int:
        return len(self.indices)


class TableBatchSampler(ResumableBatchSampler):
    """Batches with the configured share of every task, over tables of examples.

    Every task has its own endless sequence of draws, epoch after epoch; an epoch holds examples by the quotas of
    `Mixture`, in an order of its own. The tasks take turns (`TaskOrder`), which gives one sequence of all draws. An
    update takes the next `sum(shares) * num_ranks * batches_per_step` of it and deals them to the micro-batches of
    all devices: each gets exactly its share of every task, and about as much work.

    Choice (budgets): where a micro-batch would exceed `max_seconds` or `max_tokens`, the update takes fewer draws
    from the same sequence, at least one per micro-batch, and the next update continues behind them. Nothing is skipped
    or put back, so no example is lost, no long one waits while short ones overtake it, and the tasks keep their
    shares whatever their lengths: over any stretch they are off by less than one turn each. Updates that are cut
    have the shares up to one example per micro-batch.

    Choice: the cursor is the number of draws taken, from which every later draw follows.

    Args:
        examples: all examples of all tasks (see `ExampleBuilder`); keys are positions in them.
        config: shares, temperatures, weights and budgets.
        seed: seed of the run.
        kwargs: as in `ResumableBatchSampler`.

    Raises:
        ValueError: a task with a share has no example, or one alone exceeds a budget.
    """

    kind = "tables"
    cursor = ("num_draws",)

    def __init__(
        self, examples: Sequence[Example], config: MixtureConfig | None = None, *, seed: int = 0, **kwargs: int
    ) -> None:
        super().__init__(**kwargs)
        self.examples, self.config, self.seed = examples, config or MixtureConfig(), seed
        self.order = TaskOrder(self.config.shares)
        self.seconds = np.asarray([example.duration_seconds for example in examples], dtype=np.float64)
        self.tokens = np.asarray([example.num_text_tokens for example in examples], dtype=np.int64)
        self.draws = self._draws_by_task()
        self._check_budgets()
        self.num_draws = 0
        self._plan: StepPlan | None = None

    def take_batch(self) -> list[DrawKey]:
        """The draws of the current update that are dealt to this micro-batch."""
        plan = self.plan_step(self.num_draws)
        mine = plan.slots == self.slot
        columns = (plan.indices[mine].tolist(), plan.epochs[mine].tolist(), plan.copies[mine].tolist())
        return [DrawKey(index, epoch, copy) for index, epoch, copy in zip(*columns, strict=True)]

    def end_step(self) -> None:
        """Advance past the draws of the current update."""
        self.num_draws += len(self.plan_step(self.num_draws))

    def plan_step(self, first: int) -> StepPlan:
        """The update that begins with draw number `first`; the latest one is kept."""
        if self._plan is not None and self._plan.first == first:
            return self._plan
        tasks = self.order.turns(first, len(self.order) * self.num_slots)
        columns = np.zeros((3, len(tasks)), dtype=np.int64)
        for number, (task, before) in enumerate(self.order.num_before(first).items()):
            positions = np.flatnonzero(tasks == number)
            columns[:, positions] = self.draws[task].take(before, len(positions))
        slots = self._deal(columns[0], tasks)
        indices, epochs, copies = columns[:, : len(slots)]
        self._plan = StepPlan(first=first, indices=indices, epochs=epochs, copies=copies, slots=slots)
        return self._plan

    def fingerprint_parts(self) -> dict[str, Any]:
        """Seed, configuration, and the examples with their lengths."""
        hashed = blake2b(digest_size=8)
        for example in self.examples:
            hashed.update(f"{example.corpus}\x1f{example.sampling_language}\x1f{example.id}\n".encode())
        hashed.update(self.seconds.tobytes() + self.tokens.tobytes())
        parts = {"seed": self.seed, "examples": hashed.hexdigest(), **self.config.fingerprint_parts()}
        spread = [task for task, draws in self.draws.items() if draws.is_spread]
        return {**parts, "tasks whose recordings are spread": spread} if spread else parts

    def summarize(self) -> list[TaskSummary]:
        """Contents of the mixture by task; updates count as full, without cuts by budgets."""
        return [
            TaskSummary.of_quotas(
                task,
                self.config.shares[task],
                [(lang, quota) for (_, lang, _), quota in draws.mixture.quotas().items()],
                examples=len(draws.members),
                hours=float(self.seconds[draws.members].sum()) / 3600.0,
                tokens=int(self.tokens[draws.members].sum()),
                epoch_steps=draws.epoch_size / (self.config.shares[task] * self.num_slots),
            )
            for task, draws in self.draws.items()
        ]

    def _draws_by_task(self) -> dict[str, "TaskDraws"]:
        members: dict[str, list[int]] = {task: [] for task in self.order.tasks}
        for index, example in enumerate(self.examples):
            if example.task in members:
                members[example.task].append(index)
        empty = [task for task, indices in members.items() if not indices]
        if empty:
            raise ValueError(
                f"`shares` has {', '.join(empty)}, but there is no such example; add a corpus for it or set its share "
                "to 0"
            )
        return {
            task: TaskDraws(
                task,
                np.asarray(indices, dtype=np.int64),
                Mixture(
                    [self.examples[index] for index in indices],
                    corpus_weights=self.config.corpus_weights.get(task),
                    temperature=self.config.temperature(task),
                    seed=self.seed,
                    language_of=attrgetter("sampling_language"),
                ),
                self._recordings(indices),
            )
            for task, indices in members.items()
        }

    def _recordings(self, indices: Sequence[int]) -> IntArray:
        """`(n,)` numbers of the recordings that examples are made of; each text has a number of its own."""
        numbers: dict[tuple[str, str], int] = {}
        chosen = [self.examples[index] for index in indices]
        keys = [(example.corpus, example.record.key if example.record else example.id) for example in chosen]
        return np.asarray([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)

    def _check_budgets(self) -> None:
        used = np.concatenate([draws.members for draws in self.draws.values()])
        for name, sizes in (("max_seconds", self.seconds), ("max_tokens", self.tokens)):
            budget = getattr(self.config, name)
            if budget is None:
                continue
            longest = int(used[np.argmax(sizes[used])])
            if sizes[longest] > budget:
                raise ValueError(
                    f"example {self.examples[longest].id!r} alone has {sizes[longest]:g}, more than `{name}` = "
                    f"{budget:g}; leave such examples out with `ExampleLimits`, or raise the budget"
                )

    def _deal(self, indices: IntArray, tasks: IntArray) -> IntArray:
        """Slots of as many of the draws, from the first on, as the budgets allow in one update."""
        sizes = np.stack([self.seconds[indices], self.tokens[indices].astype(np.float64)], axis=1)
        budgets = (self.config.max_seconds, self.config.max_tokens)
        budget = np.asarray([np.inf if value is None else float(value) for value in budgets])
        within = (np.cumsum(sizes, axis=0) <= budget * self.num_slots).all(axis=1)
        count = max(self.num_slots, int(within.sum()))
        while True:
            slots = deal_evenly(sizes[:count], tasks[:count], self.num_slots)
            load = np.zeros((self.num_slots, 2))
            np.add.at(load, slots, sizes[:count])
            excess = float((load.max(axis=0) / budget).max())
            # One example in each slot is always within the budgets, because none exceeds a budget alone.
            if excess <= 1.0 or count <= self.num_slots:
                return slots
            # Half of the reduction that the excess calls for: hardly more than needed is cut off, in few iterations.
            shrunk = round(count * min(0.5 + 0.5 / excess, 0.97))
            count = max(self.num_slots, min(count - 1, shrunk))


class TaskDraws:
    """The endless sequence of draws of one task: `take(start, count)` reads any stretch of it.

    Args:
        task: its name.
        members: `(n,)` positions of its examples among those of all tasks.
        mixture: over these examples alone.
        recordings: `(n,)` number of the recording that each example is made of; each text has a number of its own.

    Choice: where a task has at most `MIN_DISTANCE` recordings, the order of an epoch is a random permutation. With
    more of them, the m draws of one recording are about 1/m of the epoch apart, also across the boundary of two
    epochs, and at least `MIN_DISTANCE` draws where m allows it: each recording has a place, the same in all epochs,
    from which a draw is moved by at most 1/(4m) of the epoch, and by less where that would bring two draws too close.
    """

    def __init__(self, task: str, members: IntArray, mixture: Mixture, recordings: IntArray) -> None:
        self.task, self.members, self.mixture, self.recordings = task, members, mixture, recordings
        num_recordings = int(recordings.max()) + 1
        self.is_spread = num_recordings > MIN_DISTANCE
        self._places = counter_generator(mixture.seed, "places", task).random(num_recordings)
        # (num_recordings,) how often a recording is drawn in an epoch at most
        self._most_draws = np.zeros(num_recordings, dtype=np.int64)
        for group, quota in mixture.quotas().items():
            members_of_group = np.asarray(mixture.groups[group])
            np.add.at(self._most_draws, recordings[members_of_group], ceil(quota / len(members_of_group) - 1e-6))
        (self._modality,) = mixture.modalities
        self.epoch_size = sum(mixture.quotas().values())
        self._epoch = -1
        self._first = self._last = 0
        self._columns: IntArray = np.zeros((2, 0), dtype=np.int64)

    def take(self, start: int, count: int) -> IntArray:
        """`(3, count)`: position of the example, epoch, and copy within the epoch, of draws start, start + 1, ..."""
        taken = np.zeros((3, count), dtype=np.int64)
        done = 0
        while done < count:
            self._go_to(start + done)
            first = start + done - self._first
            part = self._columns[:, first : first + count - done]
            taken[0, done : done + part.shape[1]] = part[0]
            taken[1, done : done + part.shape[1]] = self._epoch
            taken[2, done : done + part.shape[1]] = part[1]
            done += part.shape[1]
        return taken

    def _order_of(self, epoch: int, indices: IntArray) -> IntArray:
        """`(n,)` order of the draws of an epoch."""
        generator = counter_generator(self.mixture.seed, "task order", self.task, epoch)
        shuffled: IntArray = generator.permutation(len(indices))
        if not self.is_spread:
            return shuffled
        recordings = self.recordings[indices]
        counts = np.bincount(recordings, minlength=len(self._places))
        # (n,) number of each draw among those of its recording, in a random order
        by_recording = shuffled[np.argsort(recordings[shuffled], kind="stable")]
        turns = np.zeros(len(indices), dtype=np.int64)
        turns[by_recording] = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
        # Draws of a recording are n / m apart, or more, less twice what they are moved.
        most = self._most_draws[recordings]
        room = np.clip((len(indices) / most - MIN_DISTANCE) / (1.5 * MIN_DISTANCE), 0.0, 1.0)
        moved = generator.uniform(-0.25, 0.25, len(indices)) * room / most
        return np.argsort((turns + self._places[recordings]) / counts[recordings] + moved, kind="stable")

    def _go_to(self, place: int) -> None:
        """Make the epoch that has this draw the current one."""
        if self._first <= place < self._last:
            return
        # Quotas are real numbers, epochs whole ones: the guess is off by at most the number of groups.
        epoch = max(0, int(place / self.epoch_size))
        while epoch > 0 and self.mixture.num_draws_before(epoch, self._modality) > place:
            epoch -= 1
        while self.mixture.num_draws_before(epoch + 1, self._modality) <= place:
            epoch += 1
        self._epoch = epoch
        self._first = self.mixture.num_draws_before(epoch, self._modality)
        self._last = self.mixture.num_draws_before(epoch + 1, self._modality)
        indices, copies = self.mixture.epoch_draws(epoch)[self._modality]
        order = self._order_of(epoch, indices)
        self._columns = np.stack([self.members[indices[order]], copies[order]])
