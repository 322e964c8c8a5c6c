# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Counters and histograms of a server, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64)


class ServingMetrics:
    """What a server counts; one registry for each server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "mu2slam_requests", "Requests that were answered", ["endpoint", "status", "code"], registry=registry
        )
        self.request_seconds = Histogram(
            "mu2slam_request_seconds",
            "Time from the first byte to the last",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "mu2slam_queue_seconds", "Time until the first window is recognised", buckets=_SECONDS, registry=registry
        )
        self.active = Gauge("mu2slam_active_requests", "Requests that arrive, wait or run", registry=registry)
        self.sessions = Gauge("mu2slam_live_sessions", "Live transcriptions", registry=registry)
        self.audio_seconds = Counter("mu2slam_audio_seconds", "Audio that was recognised", registry=registry)
        self.compute_seconds = Counter("mu2slam_compute_seconds", "Time of the inference thread", registry=registry)
        self.batch_windows = Histogram(
            "mu2slam_batch_windows", "Windows that are recognised together", buckets=_WINDOWS, registry=registry
        )
        self.batch_seconds = Histogram(
            "mu2slam_batch_seconds", "Audio that is recognised together", buckets=_SECONDS, registry=registry
        )

    def format(self) -> bytes:
        """All values in the text format of Prometheus."""
        return generate_latest(self.registry)
