# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-train Mu2SLAM on speech, text and pairs together, as a recipe says.

    python training_scripts/pretrain_mu2slam.py --recipe configuration/recipes/mu2slam/pretrain_small_cpu.yaml
    python training_scripts/pretrain_mu2slam.py --recipe ... --set training.max_steps=100 --set output.dir=runs/trial
    python -m torch.distributed.run --nproc_per_node 2 training_scripts/pretrain_mu2slam.py --recipe ...

Started again with the same recipe, a run goes on from its newest complete checkpoint and ends with the same weights.
The result lies in `<output.dir>/final`: `finetune_mu2slam.py` starts from it with `model.init_from`.
"""

import argparse
import sys

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.recipes.builders import build_model
from mu2slam_hf.recipes.loader import load_pretraining_recipe
from mu2slam_hf.recipes.pretraining_builders import build_pretraining_processor, build_pretraining_trainer, load_tables
from mu2slam_hf.recipes.runs import find_resume_checkpoint, finish_run, save_recipe


def main(arguments: list[str] | None = None) -> None:
    """Run a recipe from data to saved model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="YAML file with kind: pretraining, see configuration/recipes/")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one value; repeatable")
    options = parser.parse_args(arguments)

    recipe = load_pretraining_recipe(options.recipe, options.set)
    checkpoint = find_resume_checkpoint(recipe)
    records = load_tables(recipe)
    processor = build_pretraining_processor(recipe, records, checkpoint)
    model = build_model(recipe, processor)
    trainer = build_pretraining_trainer(recipe, processor, model, records)
    if trainer.is_world_process_zero():
        save_recipe(recipe, recipe.output.dir)
    trainer.train(resume_from_checkpoint=checkpoint)
    finish_run(recipe, trainer, processor)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "pretrain_mu2slam.py"))
