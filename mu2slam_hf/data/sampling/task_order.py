# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The order in which the tasks of a mixture take turns."""

from collections.abc import Mapping

import numpy as np

from mu2slam_hf.data.sampling.mixture import IntArray
from mu2slam_hf.models.task_types import PRETRAINING_TASKS


class TaskOrder:
    """The endless order in which tasks take turns: a cycle in which each has its share, spread evenly.

    Any stretch as long as a cycle, wherever it starts, has exactly the shares in it; any stretch at all is off by
    less than one cycle, however the stretches before it were cut.

    Args:
        shares: task -> turns per cycle.
    """

    def __init__(self, shares: Mapping[str, int]) -> None:
        self.tasks = [task for task in PRETRAINING_TASKS if shares.get(task, 0) > 0]
        turns = [
            ((turn + 0.5) / shares[task], number)
            for number, task in enumerate(self.tasks)
            for turn in range(shares[task])
        ]
        self.cycle: IntArray = np.asarray([number for _, number in sorted(turns)], dtype=np.int64)
        # (tasks, cycle + 1): turns of each task among the first n of a cycle
        self._before = np.zeros((len(self.tasks), len(self.cycle) + 1), dtype=np.int64)
        for number in range(len(self.tasks)):
            self._before[number, 1:] = np.cumsum(self.cycle == number)

    def __len__(self) -> int:
        return len(self.cycle)

    def turns(self, first: int, count: int) -> IntArray:
        """`(count,)` numbers of the tasks (positions in `tasks`) whose turns are first, first + 1, ..."""
        return self.cycle[(first + np.arange(count)) % len(self.cycle)]

    def num_before(self, first: int) -> dict[str, int]:
        """Task -> turns it had before turn `first`."""
        cycles, rest = divmod(first, len(self.cycle))
        return {
            task: cycles * int(self._before[number, -1]) + int(self._before[number, rest])
            for number, task in enumerate(self.tasks)
        }
