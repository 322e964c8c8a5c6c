# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Commands of the package in processes of their own, several at a time, each after those that it depends on."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

LOG_FILE = "train.log"
"""Console output of a run, in its folder."""


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        name: unique name.
        work: does it; returns when it is done.
        after: names of the jobs whose results it needs.
    """

    name: str
    work: Callable[[], None]
    after: tuple[str, ...] = ()


def run_jobs(
    jobs: Sequence[Job], num_processes: int = 1, report: Callable[[str, Exception | None], None] = lambda *_: None
) -> dict[str, Exception]:
    """Do all jobs, `num_processes` at a time, in the given order as far as their dependencies allow.

    A job that fails does not end the others; those that need its result are not done.

    Args:
        jobs: work that waits for processes, not for this one.
        num_processes: number of jobs at a time.
        report: called in this thread after each job with its name and error, None for a success.

    Returns:
        The errors by the names of the jobs that failed: `ValueError`, `RuntimeError` and `OSError`; others are raised.
    """
    by_name = {job.name: job for job in jobs}
    order = {name: place for place, name in enumerate(by_name)}
    graph = TopologicalSorter({job.name: job.after for job in jobs})
    graph.prepare()
    errors: dict[str, Exception] = {}
    running: dict[Future[None], str] = {}
    ready: list[str] = []
    with ThreadPoolExecutor(num_processes) as pool:
        while True:
            ready = sorted([*ready, *graph.get_ready()], key=order.__getitem__)
            while ready and len(running) < num_processes:
                name = ready.pop(0)
                running[pool.submit(by_name[name].work)] = name
            if not running:
                return errors
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                try:
                    future.result()
                except (ValueError, RuntimeError, OSError) as error:
                    errors[name] = error
                else:
                    graph.done(name)
                report(name, errors.get(name))


def run_command(
    arguments: Sequence[str],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    inherited_files: Sequence[int] = (),
) -> None:
    """Run `mu2slam` in a process of its own, which gives its memory back; its output is appended to a file.

    Args:
        arguments: those of the command line.
        log: file of the output.
        environment: variables to set.
        inherited_files: descriptors that the process keeps open.

    Raises:
        RuntimeError: the process failed; the message has the last line of its output.
    """
    command = [sys.executable, "-m", "mu2slam_hf.cli", *arguments]
    with log.open("a", encoding="utf-8") as file:
        status = subprocess.run(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, **(environment or {})},
            pass_fds=tuple(inherited_files),
        ).returncode
    if status != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(f"exit status {status}: {lines[-1] if lines else 'no output'} (see {log})")


def override_arguments(overrides: Sequence[str]) -> list[str]:
    """`--set` for each `a.b=c`."""
    return [argument for override in overrides for argument in ("--set", override)]
