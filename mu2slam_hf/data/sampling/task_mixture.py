# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Mixed batches over tables of examples: a share for each task, the same for every split over devices, resumable."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.random_keys import DrawKey, counter_generator
from mu2slam_hf.data.sampling.mixture import IntArray, Mixture
from mu2slam_hf.data.sampling.task_shares import TaskMixtureConfig, TaskOrder, deal_evenly


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


class TaskMixtureSampler(Sampler[list[DrawKey]]):
    """A `batch_sampler` that goes on for ever: each batch holds the configured share of every task.

    Every task has its own endless sequence of draws, epoch after epoch; an epoch holds examples by the quotas of
    `Mixture`, in an order of its own. The tasks take turns (`TaskOrder`), which makes one sequence of all draws. An
    update takes the next `sum(shares) * num_ranks * batches_per_step` of it and deals them to the micro-batches of
    all devices: each gets exactly its share of every task, and about as much work.

    Choice (budgets): where a micro-batch would be beyond `max_seconds` or `max_tokens`, the update takes fewer draws
    from the same sequence, at least one per micro-batch, and the next update goes on behind them. Nothing is skipped
    or put back, so no example is lost, no long one waits while short ones overtake it, and the tasks keep their
    shares whatever their lengths: over any stretch they are off by less than one turn each. Updates that are cut
    have the shares up to one example per micro-batch.

    Choice: the state is the number of draws taken. What a draw is follows from it, so there is nothing to carry over.

    Args:
        examples: all examples of all tasks (see `ExampleBuilder`); keys are positions in them.
        config: shares, temperatures, weights and budgets.
        seed: seed of the run.
        rank: rank of this process.
        num_ranks: number of processes.
        batches_per_step: micro-batches of one update in each process.

    Raises:
        ValueError: a task with a share has no example, or one alone is beyond a budget.
    """

    state_is_per_rank = False

    def __init__(
        self,
        examples: Sequence[Example],
        config: TaskMixtureConfig | None = None,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        batches_per_step: int = 1,
    ) -> None:
        if not 0 <= rank < num_ranks:
            raise ValueError(f"`rank` must lie in [0, {num_ranks}), got {rank}")
        if batches_per_step < 1:
            raise ValueError(f"`batches_per_step` must be at least 1, got {batches_per_step}")
        self.examples, self.config, self.seed = examples, config or TaskMixtureConfig(), seed
        self.rank, self.num_ranks, self.batches_per_step = rank, num_ranks, batches_per_step
        self.num_slots = num_ranks * batches_per_step
        self.order = TaskOrder(self.config.shares)
        self.seconds = np.asarray([example.duration_seconds for example in examples], dtype=np.float64)
        self.tokens = np.asarray([example.num_text_tokens for example in examples], dtype=np.int64)
        self.draws = self._draws_by_task()
        self._check_budgets()
        self.num_steps = 0
        self.num_draws = 0
        self.micro_batch = 0
        self._plan: StepPlan | None = None
        self._fingerprint: str | None = None

    def __iter__(self) -> Iterator[list[DrawKey]]:
        """Batches of this rank, from the present state on."""
        while True:
            plan = self.plan_step(self.num_draws)
            mine = plan.slots == self.rank * self.batches_per_step + self.micro_batch
            columns = (plan.indices[mine].tolist(), plan.epochs[mine].tolist(), plan.copies[mine].tolist())
            batch = [DrawKey(index, epoch, copy, self.num_steps) for index, epoch, copy in zip(*columns, strict=True)]
            self.micro_batch += 1
            if self.micro_batch == self.batches_per_step:
                self.micro_batch = 0
                self.num_draws += len(plan)
                self.num_steps += 1
            yield batch

    def plan_step(self, first: int) -> StepPlan:
        """The update that begins with draw number `first`; the latest one is kept."""
        if self._plan is not None and self._plan.first == first:
            return self._plan
        tasks = self.order.turns(first, len(self.order) * self.num_slots)
        columns = np.zeros((3, len(tasks)), dtype=np.int64)
        for number, (task, before) in enumerate(self.order.num_before(first).items()):
            places = np.flatnonzero(tasks == number)
            columns[:, places] = self.draws[task].take(before, len(places))
        slots = self._deal(columns[0], tasks)
        indices, epochs, copies = columns[:, : len(slots)]
        self._plan = StepPlan(first=first, indices=indices, epochs=epochs, copies=copies, slots=slots)
        return self._plan

    def epochs(self) -> dict[str, float]:
        """Task -> how often its data have been gone through, for logs."""
        done = self.order.num_before(self.num_draws)
        return {task: count / self.draws[task].epoch_size for task, count in done.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands; JSON-serialisable and equal on every rank."""
        return {
            "num_steps": self.num_steps,
            "num_draws": self.num_draws,
            "micro_batch": self.micro_batch,
            "batches_per_step": self.batches_per_step,
            "batches_per_update": self.num_slots,
            "fingerprint": self.fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the batch after the one at which `state` was taken.

        The number of processes may be another one, as long as an update has as many micro-batches in all.

        Raises:
            ValueError: examples, configuration, seed or micro-batches per update are not those of the state.
        """
        if "num_draws" not in state:
            raise ValueError("The state is not one of a mixture over tables; was the run trained on streams?")
        if state["fingerprint"] != self.fingerprint():
            raise ValueError(
                "Cannot resume: examples, shares, temperatures, corpus weights, budgets or seed differ from those of "
                "the checkpoint. Use the same ones, or start a new run with model.init_from set to the checkpoint."
            )
        if int(state["batches_per_update"]) != self.num_slots:
            raise ValueError(
                f"Cannot resume: the checkpoint's updates have {state['batches_per_update']} micro-batches, now "
                f"{self.num_ranks} processes with {self.batches_per_step} each make {self.num_slots}. Set the "
                "accumulation steps so that the product is the same."
            )
        if int(state["micro_batch"]) and int(state["batches_per_step"]) != self.batches_per_step:
            raise ValueError(
                "Cannot resume in the middle of an update with another number of processes; use "
                f"{state['batches_per_step']} accumulation steps as before, or a checkpoint from the end of an update."
            )
        self.num_steps, self.num_draws = int(state["num_steps"]), int(state["num_draws"])
        self.micro_batch = int(state["micro_batch"])

    def fingerprint(self) -> str:
        """Hash of all that the draws hang on: examples with their lengths, configuration and seed."""
        if self._fingerprint is None:
            hashed = blake2b(json.dumps([self.seed, self.config.to_dict()], sort_keys=True).encode(), digest_size=8)
            for start in range(0, len(self.examples), 4096):
                some = self.examples[start : start + 4096]
                names = (f"{example.corpus}\x1f{example.sampling_language}\x1f{example.id}" for example in some)
                hashed.update("\n".join(names).encode())
            hashed.update(self.seconds.tobytes() + self.tokens.tobytes())
            self._fingerprint = hashed.hexdigest()
        return self._fingerprint

    def _draws_by_task(self) -> dict[str, "TaskDraws"]:
        members: dict[str, list[int]] = {task: [] for task in self.order.tasks}
        for index, example in enumerate(self.examples):
            task = example.task
            if task in members:
                members[task].append(index)
        empty = [task for task, indices in members.items() if not indices]
        if empty:
            raise ValueError(
                f"`shares` has {', '.join(empty)}, but there is no such example; add a corpus for it or set its share "
                "to 0"
            )
        draws = {}
        for task, indices in members.items():
            mixture = Mixture(
                [self.examples[index] for index in indices],
                self.config.mixture_config(task),
                seed=self.seed,
                language_of=attrgetter("sampling_language"),
            )
            draws[task] = TaskDraws(task, np.asarray(indices, dtype=np.int64), mixture)
        return draws

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
        """Slots of as many of the draws, from the first on, as the budgets let into one update."""
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
            # With one example in each slot all is well: none is beyond a budget alone.
            if excess <= 1.0 or count <= self.num_slots:
                return slots
            # Half of the way that the excess asks for, so that hardly more than needed is cut off, but no crawling.
            shrunk = round(count * min(0.5 + 0.5 / excess, 0.97))
            count = max(self.num_slots, min(count - 1, shrunk))


class TaskDraws:
    """The endless sequence of draws of one task: `take(start, count)` reads any stretch of it.

    Args:
        task: its name.
        members: `(n,)` positions of its examples among those of all tasks.
        mixture: over these examples alone.
    """

    def __init__(self, task: str, members: IntArray, mixture: Mixture) -> None:
        self.task, self.members, self.mixture = task, members, mixture
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

    def _go_to(self, place: int) -> None:
        """Make the epoch that has this draw the present one."""
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
        order = counter_generator(self.mixture.seed, "task order", self.task, epoch).permutation(len(indices))
        self._columns = np.stack([self.members[indices[order]], copies[order]])
