# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Transcription by the processes of a Ray cluster, each of which has the model."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints.model_choice import ModelChoice, portable_choice
from mu2slam_hf.data.audio import AudioError, audio_duration_seconds
from mu2slam_hf.inference.recordings import is_address
from mu2slam_hf.inference.transcription import TranscriptionOptions, TranscriptionRequest, transcribe_recordings
from mu2slam_hf.inference.transcripts import Transcript

Result = Transcript | ValueError

# Seconds and number of recordings that a worker gets at a time: enough for batches, little to repeat if it fails.
_TASK_SECONDS = 240.0
_TASK_RECORDINGS = 64
# Of a recording whose length its header does not state.
_UNKNOWN_SECONDS = 60.0
# Tasks that are prepared for each worker, so that none waits for the reading of files.
_TASKS_PER_WORKER = 2


def connect() -> None:
    """Connect to the cluster that RAY_ADDRESS names, or start one on this machine; usage is not reported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Transcribes with several workers, on this machine or, if Ray is connected to a cluster, on all of its machines.

    Workers read the recordings themselves, so that files must have the same path everywhere. A task whose worker or
    machine fails is repeated by another one.

    Attributes:
        num_workers: number of processes; None: one for each GPU if the model is on one, else for each processor.
        num_cpus: processors of a worker, which are the threads of its model.
    """

    num_workers: int | None = None
    num_cpus: int = 1

    def __call__(
        self,
        model: ModelChoice,
        requests: Iterable[TranscriptionRequest],
        options: TranscriptionOptions,
        progress: Callable[[float], None],
    ) -> Iterator[Result]:
        """Transcripts in the order of the requests; see `transcribe_recordings`.

        Raises:
            ImportError: Ray is not installed.
            ValueError: as `transcribe_recordings`, or the cluster has no room for a worker.
        """
        pool, size = self._start_workers(model, options)
        results: dict[int, list[Result]] = {}
        num_yielded = num_submitted = 0
        for task in group_requests(requests):
            if num_submitted - num_yielded - len(results) >= size * _TASKS_PER_WORKER:
                _collect(pool, results)
            pool.submit(lambda worker, value: worker.transcribe.remote(*value), (num_submitted, task))
            num_submitted += 1
            while num_yielded in results:
                yield from _count(results.pop(num_yielded), progress)
                num_yielded += 1
        while num_yielded < num_submitted:
            if num_yielded not in results:
                _collect(pool, results)
                continue
            yield from _count(results.pop(num_yielded), progress)
            num_yielded += 1

    def _start_workers(self, model: ModelChoice, options: TranscriptionOptions) -> tuple[Any, int]:
        """The workers as an `ActorPool`, and their number."""
        import ray
        from ray.util import ActorPool

        connect()
        needs_gpu = not model.device.startswith("cpu")
        resource, share = ("GPU", 1) if needs_gpu else ("CPU", self.num_cpus)
        room = int(ray.cluster_resources().get(resource, 0) // share)
        size = self.num_workers or room
        if not 0 < size <= room:
            raise ValueError(
                f"--ray-workers {size}: the cluster has room for {room} workers of {share} {resource} each; expected "
                "between 1 and that"
            )
        worker = ray.remote(num_cpus=self.num_cpus, num_gpus=int(needs_gpu), max_restarts=-1, max_task_retries=-1)(
            RayWorker
        )
        return ActorPool([worker.remote(portable_choice(model), options) for _ in range(size)]), size


class RayWorker:
    """A process with a model.

    Args:
        model: the model.
        options: how it transcribes.
    """

    def __init__(self, model: ModelChoice, options: TranscriptionOptions) -> None:
        self._model, self._processor = model.load()
        self._options = options

    def transcribe(self, number: int, requests: Sequence[TranscriptionRequest]) -> tuple[int, list[Result]]:
        """The number of a task, and its results."""
        return number, list(transcribe_recordings(self._model, self._processor, requests, self._options))


def group_requests(requests: Iterable[TranscriptionRequest]) -> Iterator[list[TranscriptionRequest]]:
    """Recordings in groups of some minutes, in their order, which another process can read."""
    group: list[TranscriptionRequest] = []
    seconds = 0.0
    for request in requests:
        source = request.source
        if isinstance(source, (str, os.PathLike)) and not is_address(str(source)):
            source = str(Path(source).resolve())
        group.append(replace(request, source=source, on_settled=None, journal=None))
        seconds += _measure(source)
        if seconds >= _TASK_SECONDS or len(group) == _TASK_RECORDINGS:
            yield group
            group, seconds = [], 0.0
    if group:
        yield group


def _measure(source: Any) -> float:
    """The length of a recording in seconds, as its header states it."""
    if not isinstance(source, str) or is_address(source):
        return _UNKNOWN_SECONDS
    try:
        return audio_duration_seconds(source)
    except AudioError:
        return 0.0


def _collect(pool: Any, results: dict[int, list[Result]]) -> None:
    """Wait for the next task that is finished, whichever it is."""
    from ray.exceptions import RayTaskError

    try:
        number, task_results = pool.get_next_unordered()
    except RayTaskError as error:
        raise error.cause from None
    results[number] = task_results


def _count(results: list[Result], progress: Callable[[float], None]) -> Iterator[Result]:
    for result in results:
        if isinstance(result, Transcript):
            progress(result.duration_seconds)
        yield result
