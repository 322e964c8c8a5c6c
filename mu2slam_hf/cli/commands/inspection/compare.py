# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam compare`: whether one system is significantly better than another on the same utterances."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.options import add_bootstrap_option, add_json_option, add_seed_option
from mu2slam_hf.inference.recordings import print_json


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "compare",
        help="compare two systems by the paired bootstrap",
        description="Scores the hypotheses of two systems for the same utterances, written by `mu2slam evaluate "
        "--hypotheses FILE`, and prints for each score and mean the difference (second minus first) with its 95 % "
        "confidence interval and p-value by the paired bootstrap.",
    )
    parser.add_argument("baseline", metavar="BASELINE", help="JSONL with the hypotheses of the first system")
    parser.add_argument("system", metavar="SYSTEM", help="JSONL with the hypotheses of the second system")
    add_bootstrap_option(parser, 1000)
    add_seed_option(parser, "of the bootstrap")
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the table, or one JSON object per score."""
    from mu2slam_hf.evaluation.records.comparison import compare_hypotheses, format_comparisons
    from mu2slam_hf.evaluation.records.hypotheses import read_hypotheses
    from mu2slam_hf.evaluation.scores.intervals import Bootstrap

    bootstrap = Bootstrap(num_samples=args.bootstrap, seed=args.seed)
    baseline, system = (read_hypotheses(path) for path in (args.baseline, args.system))
    comparisons = compare_hypotheses(baseline, system, bootstrap)
    if args.json:
        for comparison in comparisons:
            print_json({**asdict(comparison), "verdict": comparison.verdict})
        return 0
    print(format_comparisons(comparisons, (Path(args.baseline).stem, Path(args.system).stem)))
    return 0
