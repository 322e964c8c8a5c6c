# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""States of a batch sampler after every batch, so that a checkpoint holds that of the last batch trained on.

Loader workers fetch ahead: when update 100 ends, the sampler has already handed out batches of updates 101 to 110.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.batch_sampler import ResumableBatchSampler
from mu2slam_hf.data.sampling.sampler_process import draw_in_process


class TrackedBatchSampler:
    """Wrapper that pairs each batch with the state after it.

    It has no length, so that the Trainer counts updates, not epochs.

    Args:
        sampler: the sampler.
        in_process: whether it draws in a process of its own; for samplers that read files.
    """

    def __init__(self, sampler: ResumableBatchSampler, *, in_process: bool = False) -> None:
        self.sampler, self.in_process = sampler, in_process
        self._ahead: deque[Callable[[], dict[str, Any]]] = deque()
        self._consumed: dict[str, Any] | Callable[[], dict[str, Any]] = sampler.state_dict()

    @property
    def state_is_per_rank(self) -> bool:
        """Whether each rank has to store its own state."""
        return self.sampler.state_is_per_rank

    def __iter__(self) -> Iterator[Iterable[DrawKey]]:
        self._ahead.clear()
        if self.in_process:
            # The sampler here did not move on when the other one drew.
            self.sampler.load_state_dict(self.state_dict())
            for keys, state_after in draw_in_process(self.sampler):
                self._ahead.append(state_after)
                yield keys
        for batch in self.sampler:
            state = self.sampler.state_dict()
            self._ahead.append(lambda state=state: state)  # type: ignore[misc]
            yield batch

    def mark_consumed(self, num_batches: int) -> None:
        """Record that the oldest `num_batches` outstanding batches were used in an update."""
        for _ in range(num_batches):
            if not self._ahead:
                raise RuntimeError("More batches were consumed than the sampler handed out; this is a bug.")
            self._consumed = self._ahead.popleft()

    def state_dict(self) -> dict[str, Any]:
        """State right after the last consumed batch."""
        if callable(self._consumed):
            self._consumed = self._consumed()
        return self._consumed

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the batch of `state`; takes effect at the next `iter`."""
        self._ahead.clear()
        self.sampler.load_state_dict(state)
        self._consumed = state
