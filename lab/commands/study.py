# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab study`: hypotheses about training, each tested by runs with several seeds."""

import argparse
import sys
from typing import Any

from lab.commands.options import add_processes_option
from mu2slam_hf.cli.options import add_output_dir_option


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "study",
        help="test hypotheses about training, each by runs with several seeds",
        description="Trains and evaluates the variants of each finding of a study with every seed. Writes a record of "
        "each run, README.md with means, paired differences and verdicts, and a plot of each finding (extra: plots). "
        "Started again, it does what is missing, and resumes an interrupted run.",
    )
    known = "name of one of the laboratory (best_rq, data, dual_encoder, equal_time, findings, mboshi, speech_llm)"
    parser.add_argument("study", metavar="STUDY", help=f"YAML file, or the {known}")
    add_output_dir_option(parser, "records, page, plots", required=True)
    parser.add_argument("--runs", metavar="DIR", help="folder of the models (runs in the output folder)")
    parser.add_argument("--findings", nargs="+", default=[], metavar="NAME", help="only these findings (all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds (those of the study)")
    parser.add_argument("--report", action="store_true", help="run nothing: page and plots from the records there are")
    add_processes_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs what is missing; exit status 1 if a run has failed."""
    from lab.studies.study import plan_study
    from lab.studies.study_execution import run_study
    from lab.studies.study_report import save_study

    study = plan_study(args.study, args.output_dir, runs_folder=args.runs)
    runs = study.runs_of(args.findings, args.seeds)
    finished = sum(run.load_record() is not None for run in runs)
    print(f"{len(runs)} runs in {study.folder}, {finished} of them finished", flush=True)

    def report(name: str, error: Exception | None) -> None:
        print(f"failed: {name}: {error}" if error else f"done: {name}", flush=True)

    errors = {} if args.report else run_study(study, runs, num_processes=args.processes, report=report)
    for path in save_study(study):
        print(f"written to {path}", file=sys.stderr)
    return int(bool(errors))
