# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`python -m lab sweep`: a grid of runs over keys of a recipe."""

import argparse
import sys
from typing import Any

from lab.commands.options import add_processes_option
from mu2slam_hf.cli.options import add_output_dir_option, add_overrides_option


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "sweep",
        help="train a recipe with every combination of some values, and compare the results",
        description="Trains a recipe once for each combination of the given values, each run in a process and a "
        "folder of its own, and writes sweep.json, sweep.tsv, sweep.md and sweep.png (extra: plots). Started again, "
        "it skips finished runs and resumes the others.",
    )
    parser.add_argument(
        "recipe", metavar="RECIPE", help="YAML file, or the name of one of the laboratory or the package"
    )
    parser.add_argument(
        "--over",
        action="append",
        required=True,
        metavar="KEY=VALUES",
        help="values of a key, separated by commas; KEY,KEY=VALUES for keys that change together; repeatable",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="metric of the evaluation that runs are compared by; default: training.metric_for_best_model",
    )
    parser.add_argument(
        "--greater-is-better", action="store_true", default=None, help="a larger metric is better (BLEU, accuracy)"
    )
    parser.add_argument(
        "--replicates",
        metavar="NAME",
        help="last part of a key of --over whose values repeat a run (seed, folds): metrics are averaged over it, "
        "with standard deviation and 95 %% interval, in sweep_means.tsv",
    )
    add_processes_option(parser)
    add_overrides_option(parser)
    add_output_dir_option(parser, "that of the recipe with _sweep appended")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs what is not finished; exit status 1 if a run has failed."""
    from lab.studies.sweep import Sweep, SweepRun, parse_axis, plan_sweep, run_sweep
    from lab.studies.sweep_report import describe_best, save_sweep, table_rows

    sweep = plan_sweep(
        args.recipe,
        [parse_axis(text) for text in args.over],
        overrides=args.overrides,
        folder=args.output_dir,
        metric=args.metric,
        greater_is_better=args.greater_is_better,
        replicates=args.replicates,
    )
    finished = sum(run.results is not None for run in sweep.runs)
    print(f"{len(sweep.runs)} runs in {sweep.folder}, {finished} of them finished", flush=True)

    def report(sweep: Sweep, run: SweepRun) -> None:
        save_sweep(sweep)
        row = table_rows(sweep)[1 + sweep.runs.index(run)]
        print("  ".join(row[: len(run.values) + 2]), flush=True)

    run_sweep(sweep, num_processes=args.processes, report=report)
    for path in save_sweep(sweep):
        print(f"written to {path}", file=sys.stderr)
    print(describe_best(sweep))
    return int(any(run.error is not None for run in sweep.runs))
