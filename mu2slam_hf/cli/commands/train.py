# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam train`: training with a recipe."""

import argparse
from typing import Any

from mu2slam_hf.cli.collection import resume_collection
from mu2slam_hf.cli.options import add_overrides_option, add_recipe_option, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model or a tokenizer with a recipe (YAML)",
        description="Builds the processor, model, data and trainer of a recipe (pre-training of Mu2SLAM or mSLAM, "
        "supervised training, or fine-tuning of a head), trains, evaluates and saves; or trains a tokenizer of speech "
        "or texts. Interrupted runs resume from the newest complete checkpoint, k-means from its last pass.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the recipe, as with --recipe")
    add_recipe_option(parser, more="; without one, all values are given by --set, among them the kind")
    add_overrides_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the recipe, like the scripts in `training_scripts/`.

    Raises:
        ValueError: neither a recipe nor values are given, or two recipes.
    """
    if args.name is not None and args.recipe is not None:
        raise ValueError(f"expected one recipe, got {args.name} and --recipe {args.recipe}")
    recipe = args.recipe or args.name
    if recipe is None and not args.overrides:
        raise ValueError("pass a recipe: a YAML file or a name listed by `mu2slam recipes`")
    from mu2slam_hf.recipes.runs.registry import load_runs

    quiet_libraries()
    resume_collection()
    for training_run in load_runs(recipe, args.overrides):
        training_run.run()
    return 0
