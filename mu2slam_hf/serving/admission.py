# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The number of requests that a server answers at a time, of all clients and of each."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from mu2slam_hf.serving.errors import ApiError, stopping
from mu2slam_hf.serving.limits import ServingLimits
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.scheduler import RecognitionScheduler


class Admission:
    """Counts requests and live transcriptions while they are answered; in the thread of the event loop only.

    Args:
        limits: `requests`, `client_requests` and `sessions` are used.
        scheduler: nothing is admitted once it is stopping.
        metrics: shows the numbers.
    """

    def __init__(self, limits: ServingLimits, scheduler: RecognitionScheduler, metrics: ServingMetrics) -> None:
        self._limits, self._scheduler, self._metrics = limits, scheduler, metrics
        self._active: Counter[str] = Counter()
        self._num_sessions = 0

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Count a request of a client, known by its key or address.

        Raises:
            ApiError: too many requests, or a server that stops.
        """
        if self._scheduler.is_stopping:
            raise stopping()
        if self._active.total() >= self._limits.requests:
            message = f"The server has {self._limits.requests} requests already; send it again later."
            raise ApiError(429, "queue_full", message, headers=self._retry_headers())
        if self._active[client] >= self._limits.client_requests:
            message = f"You have {self._limits.client_requests} requests already; wait for an answer before the next."
            raise ApiError(429, "too_many_requests", message, headers=self._retry_headers())
        self._active[client] += 1
        self._metrics.active.inc()
        try:
            yield
        finally:
            self._active -= Counter({client: 1})  # forgets those that have none
            self._metrics.active.dec()

    @contextmanager
    def admit_session(self) -> Iterator[None]:
        """Count a live transcription.

        Raises:
            ApiError: too many, or a server that stops.
        """
        if self._scheduler.is_stopping:
            raise stopping()
        if self._num_sessions >= self._limits.sessions:
            message = f"The server has {self._limits.sessions} live transcriptions already; try again later."
            raise ApiError(429, "queue_full", message, headers=self._retry_headers())
        self._num_sessions += 1
        self._metrics.sessions.inc()
        try:
            yield
        finally:
            self._num_sessions -= 1
            self._metrics.sessions.dec()

    def _retry_headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, round(self._scheduler.turn_seconds)))}
