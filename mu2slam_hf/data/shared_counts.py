# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Counters shared by loader processes and the main process."""

import logging

import torch
from torch.utils.data import get_worker_info

_MAX_WORKERS = 512
_MAX_LINES = 50
# Row of this process if it is no loader process: that of the training process, or of its sampler.
_own_row = _MAX_WORKERS


def count_as_sampler() -> None:
    """From now on, this process counts apart from the training process."""
    global _own_row
    _own_row = _MAX_WORKERS + 1


class SharedCounts:
    """Named counters in shared memory; each process writes its own row, so no increment is lost.

    Args:
        names: names of the counters.
    """

    def __init__(self, *names: str) -> None:
        self._columns = {name: column for column, name in enumerate(names)}
        self._rows = torch.zeros((_MAX_WORKERS + 2, len(names)), dtype=torch.int64).share_memory_()

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a counter, from any process."""
        worker = get_worker_info()
        row = _own_row if worker is None else worker.id % _MAX_WORKERS
        self._rows[row, self._columns[name]] += amount

    def __getitem__(self, name: str) -> int:
        return int(self._rows[:, self._columns[name]].sum())


class LogOnce:
    """Log lines about records: each record once per process, not once per epoch, and a limited number in total.

    Args:
        logger: logger for the lines.
        max_lines: maximum number of lines of each loader process.
    """

    def __init__(self, logger: logging.Logger, max_lines: int = _MAX_LINES) -> None:
        self._logger, self._max_lines = logger, max_lines
        self._seen: set[str] = set()

    def warning(self, record_id: str, reason: str) -> None:
        """Log a fault of a record; `reason` should contain the record."""
        if record_id in self._seen or len(self._seen) > self._max_lines:
            return
        self._seen.add(record_id)
        self._logger.warning(reason)
        if len(self._seen) > self._max_lines:
            self._logger.warning("further records of this kind are counted, but not listed")
