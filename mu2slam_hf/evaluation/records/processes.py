# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Several processes that share the work of an evaluation.

accelerate, which imports torch, is imported only where there are several, so that scores are computed without it.
"""

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")
# A process may have to wait for others that decode longer recordings.
_TIMEOUT = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of an evaluation, as one of them sees it; by default there is only one.

    Attributes:
        index: number of this process, from 0.
        count: number of processes.
        local_index: number of this process on its machine.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.index == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Items of this process: every `count`-th, so that all processes have long and short ones.

        Args:
            items: all items, the same in every process.
        """
        return list(items[self.index :: self.count])

    def gather(self, items: list[Item]) -> list[Item]:
        """Items of all processes, process by process; every process must call it.

        Args:
            items: those of this process.
        """
        if self.count == 1:
            return items
        from accelerate.utils import gather_object

        return list(gather_object(items))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()


def start_processes(*, use_cpu: bool) -> Processes:
    """The processes that `torch.distributed.run` or `accelerate launch` has started; one without them.

    They communicate until they exit.

    Args:
        use_cpu: whether they compute on CPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=use_cpu, timeout=_TIMEOUT)
    atexit.register(state.destroy_process_group)
    return Processes(index=state.process_index, count=state.num_processes, local_index=state.local_process_index)
