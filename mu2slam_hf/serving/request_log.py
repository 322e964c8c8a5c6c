# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The line of a request in the log, and its part in the metrics; neither has texts."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from mu2slam_hf.inference.transcripts import Transcript
from mu2slam_hf.serving.metrics import ServingMetrics
from mu2slam_hf.serving.scheduler import RecognitionTask

logger = logging.getLogger(__name__)


def describe_work(task: RecognitionTask, transcript: Transcript) -> dict[str, Any]:
    """A recognised recording in the line of its request."""
    return {
        "model": task.model.name,
        "audio_seconds": round(transcript.duration_seconds, 3),
        "queue_seconds": round((task.started or task.accepted) - task.accepted, 3),
        "language": transcript.language,
    }


def record_request(
    metrics: ServingMetrics, endpoint: str, entry: Mapping[str, Any], seconds: float, *, level: int = logging.INFO
) -> None:
    """Count a request that is answered, and write its line.

    Args:
        metrics: the counters.
        endpoint: what was asked for.
        entry: the line; `status` and `code` are counted.
        seconds: time from the first byte to the last.
        level: level of the line.
    """
    metrics.requests.labels(endpoint, entry["status"], entry["code"]).inc()
    metrics.request_seconds.labels(endpoint).observe(seconds)
    logger.log(level, "%s", json.dumps({**entry, "seconds": round(seconds, 3)}))
