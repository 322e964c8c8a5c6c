# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam train`: training with a recipe."""

import argparse
from typing import Any

from mu2slam_hf.cli.collection import resume_collection
from mu2slam_hf.cli.options import add_overrides_option, add_recipe_option


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model with a recipe (YAML)",
        description="Builds the processor, model, data and trainer of a recipe (pre-training of Mu2SLAM or mSLAM, "
        "supervised training, or fine-tuning of a head), trains, evaluates and saves. Interrupted runs "
        "resume from the newest complete checkpoint.",
    )
    add_recipe_option(parser, required=True)
    add_overrides_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the recipe, like the scripts in `training_scripts/`."""
    from mu2slam_hf.recipes.runs.registry import load_runs

    resume_collection()
    for training_run in load_runs(args.recipe, args.overrides):
        training_run.run()
    return 0
