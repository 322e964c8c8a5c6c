# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""How fast a run is: speech and text per second, time without a batch, and the share of the device that is used."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.training.objectives.objective import Objective

_PRODUCT_SIZE = {"cpu": 512}
_DEFAULT_PRODUCT_SIZE = 8192


class Throughput:
    """Accumulates the work of this process over the updates from one log to the next.

    Args:
        objective: counts speech, text and operations of a batch.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        # Seconds of speech, text tokens, operations, seconds without a batch.
        self._work = [0.0, 0.0, 0.0, 0.0]

    def add(self, batches: Sequence[Mapping[str, Any]]) -> None:
        """Count the micro-batches of an update, which are still on the CPU: nothing waits for the device."""
        for batch in batches:
            self._work[0] += self.objective.count_speech_seconds(batch)
            self._work[1] += self.objective.count_text_tokens(batch)
            self._work[2] += self.objective.count_operations(batch)

    def timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same batches; the time until each one arrives is counted."""
        while True:
            started = time.monotonic()
            batch = next(batches, None)
            self._work[3] += time.monotonic() - started
            if batch is None:
                return
            yield batch

    def describe(
        self, seconds: float, num_processes: int, operations_per_second: float, reduce: Callable[[Tensor], Tensor]
    ) -> dict[str, float]:
        """Figures of all processes together.

        Args:
            seconds: time in which the work was done.
            num_processes: number of processes.
            operations_per_second: rate of matrix products of one process, see `measure_product_rate`.
            reduce: sums a float32 tensor on the CPU over all processes.

        Returns:
            `speech_seconds_per_second`, `text_tokens_per_second`; `data_wait`, share of the time in which a process
            waits for its next batch, mean over the processes; `model_flop_utilization`, operations of the model by
            `Objective.count_operations` relative to the rate of matrix products.
        """
        seconds = max(seconds, 1e-9)
        speech, tokens, operations, waited = (reduce(torch.tensor(self._work)) / seconds).tolist()
        return {
            "speech_seconds_per_second": speech,
            "text_tokens_per_second": tokens,
            "data_wait": waited / num_processes,
            "model_flop_utilization": operations / (operations_per_second * num_processes),
        }


def measure_product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of square matrix products, the best of five after one to warm up.

    Args:
        device: device of the model.
        dtype: dtype in which it computes.
    """
    size = _PRODUCT_SIZE.get(device.type, _DEFAULT_PRODUCT_SIZE)
    matrix = torch.ones(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(6):
        _wait_for(device)
        started = time.perf_counter()
        matrix @ matrix
        _wait_for(device)
        times.append(time.perf_counter() - started)
    return 2.0 * size**3 / min(times[1:])


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
