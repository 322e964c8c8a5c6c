# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Runs what is missing of a study: steps and evaluations as commands in processes of their own."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lab.studies.job_pool import LOG_FILE, Job, run_command, run_jobs
from lab.studies.study import FINISHED_FILE, Study, StudyRun, StudyStep
from lab.studies.study_sections import StudyEvaluationSection
from mu2slam_hf.atomic_files import atomic_path
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.locks import locked_folder

Command = Callable[[Sequence[str], Path], None]
"""Runs `mu2slam` with arguments, given the file of its output."""


def run_study(
    study: Study,
    runs: Sequence[StudyRun] | None = None,
    *,
    num_processes: int = 1,
    command: Command | None = None,
    report: Callable[[str, Exception | None], None] = lambda *_: None,
) -> dict[str, Exception]:
    """Train and evaluate what has no record yet; a run that was interrupted goes on from its newest checkpoint.

    Every process has one thread, so that results do not depend on how many there are at a time.

    Args:
        study: of `plan_study`.
        runs: some of its runs; default: all.
        num_processes: number of processes at a time.
        command: runs a command; default: in a process of its own.
        report: called after each step and evaluation with its name and error, None for a success.

    Returns:
        The errors of those that failed, by name. Others go on.

    Raises:
        ValueError: another study runs in the folder, or a process that one has left behind.
    """
    runs = study.unique_runs if runs is None else runs
    with locked_folder(study.runs_folder) as lock:

        def in_subprocess(arguments: Sequence[str], log: Path) -> None:
            # The processes hold the lock too: they may outlive this one.
            run_command(arguments, log, environment={"OMP_NUM_THREADS": "1"}, inherited_files=[lock])

        return run_jobs(_list_jobs(study, runs, command or in_subprocess), num_processes, report)


def _list_jobs(study: Study, runs: Sequence[StudyRun], command: Command) -> list[Job]:
    """The steps and evaluations that are not done."""
    jobs: dict[str, Job] = {}
    for run in runs:
        if run.load_record() is not None:
            continue
        # What comes before a finished step is not needed any more.
        first = max((place for place, step in enumerate(run.steps, 1) if step.is_finished), default=0)
        before: tuple[str, ...] = ()
        for step in run.steps[first:]:
            name = step.folder.name
            jobs.setdefault(name, Job(name, partial(_train, step, command), before))
            before = (name,)
        name = f"evaluation of {run.name}, seed {run.seed}"
        jobs[name] = Job(name, partial(_evaluate, study, run, command), before)
    return list(jobs.values())


def _train(step: StudyStep, command: Command) -> None:
    step.folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    command(step.arguments, step.folder / LOG_FILE)
    done = {"arguments": step.arguments, "seconds": round(time.perf_counter() - started, 1)}
    with atomic_path(step.folder / FINISHED_FILE) as temporary:
        temporary.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")


def _evaluate(study: Study, run: StudyRun, command: Command) -> None:
    """Evaluate the last step, and write the record with what the study says of the run."""
    last = run.steps[-1]
    first = last.folder / f"record_{run.fingerprint}.json"
    model = ["--model", str(last.output), "--seed", str(run.seed), "--results", str(first)]
    section = study.file.evaluation
    data = _evaluation_arguments(section)
    if any(task.startswith("retrieval_") for task in run.tasks):
        text_lang = [] if run.text_lang is None else ["--text-lang", run.text_lang]
        options = ["--within", "language", "--no-untrained", "--bootstrap", "1000", *text_lang]
        command(["retrieve", *model, *data, *options], last.folder / "evaluate.log")
    else:
        if section.directions and {"ast", "mt"} & set(run.tasks):
            data += ["--directions", ",".join(section.directions)]
        command(["evaluate", *model, *data, "--tasks", *run.tasks], last.folder / "evaluate.log")
    record = EvaluationResults.load(first)
    steps = [{"name": step.name, "recipe": step.recipe.stem, "set": list(step.overrides)} for step in run.steps]
    about = {"file": study.path.name, "run": run.name, "fingerprint": run.fingerprint, "steps": steps}
    replace(record, settings={**record.settings, "study": about}).save(run.record_path)


def _evaluation_arguments(section: StudyEvaluationSection) -> list[str]:
    # Relative, because the record has the command.
    place = os.path.relpath(section.manifest or section.root or "")
    if section.manifest is not None:
        arguments = ["--manifest", place]
    else:
        arguments = ["--corpus", f"{section.name}={place}", "--split", section.split]
    for name, value in section.options.items():
        arguments += ["--option", f"{name}={json.dumps(value)}"]
    for option, given in (("--part", section.part), ("--limit", section.limit)):
        arguments += [] if given is None else [option, str(given)]
    for name, languages in section.groups.items():
        arguments += ["--group", f"{name}={','.join(languages)}"]
    arguments += ["--language-accuracy"] if section.language_accuracy else []
    return arguments + (["--languages", *section.languages] if section.languages else [])
