# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam train`: one recipe, one run."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a model as a recipe (YAML) says",
        description="Builds processor, model, data and trainer of a recipe, trains, evaluates and saves. Started "
        "again, it goes on from the newest complete checkpoint.",
    )
    parser.add_argument("--recipe", required=True, metavar="FILE", help="YAML file")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value, e.g. --set training.max_steps=100; may be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the recipe, with the same steps as `training_scripts/finetune_mu2slam.py`."""
    from mu2slam_hf.recipes import builders
    from mu2slam_hf.recipes.data_builders import load_records
    from mu2slam_hf.recipes.loader import load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    checkpoint = builders.find_resume_checkpoint(recipe)
    records = load_records(recipe.data.corpora, "data.corpora")
    processor = builders.build_processor(recipe, records, checkpoint)
    model = builders.build_model(recipe, processor)
    trainer = builders.build_trainer(recipe, processor, model, records)
    if trainer.is_world_process_zero():
        builders.save_recipe(recipe, recipe.output.dir)
    trainer.train(resume_from_checkpoint=checkpoint)
    builders.finish_run(recipe, trainer, processor)
    return 0
