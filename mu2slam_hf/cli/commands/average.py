# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam average`: the mean of the weights of several models."""

import argparse
from typing import Any

from mu2slam_hf.cli.options import add_output_dir_option, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "average",
        help="average the weights of several models",
        description="Writes a model with the mean of the weights of several models: checkpoints of a run, or models "
        "that were trained from the same start. Configuration and processor are those of the last one.",
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="folders of models, as runs/mine/checkpoint-500 runs/mine/final"
    )
    add_output_dir_option(parser, "the averaged model", required=True)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Averages the models and writes the result."""
    quiet_libraries()
    from mu2slam_hf.training.model_average import write_average

    size = write_average(args.models, args.output_dir)
    print(f"mean of {len(args.models)} models, {size / 1e6:.1f} M weights, written to {args.output_dir}")
    return 0
