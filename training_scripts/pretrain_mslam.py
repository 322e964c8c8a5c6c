# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-train mSLAM, one encoder for speech and text, as a recipe says.

    python training_scripts/pretrain_mslam.py --recipe configuration/recipes/mslam/pretrain_small_cpu.yaml
    python training_scripts/pretrain_mslam.py --recipe ... --set model.init_encoder_from=folder/of/w2v-bert-2.0
    python -m torch.distributed.run --nproc_per_node 2 training_scripts/pretrain_mslam.py --recipe ...

Started again with the same recipe, a run goes on from its newest complete checkpoint and ends with the same weights.
The result lies in `<output.dir>/final`: `finetune_classification.py` and others start from it.
"""

import argparse
import sys

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.recipes.loader import load_mslam_recipe
from mu2slam_hf.recipes.mslam_builders import build_mslam_model, build_mslam_processor, build_mslam_trainer
from mu2slam_hf.recipes.pretraining_builders import load_tables
from mu2slam_hf.recipes.runs import find_resume_checkpoint, finish_run, save_recipe


def main(arguments: list[str] | None = None) -> None:
    """Run a recipe from data to saved model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="YAML file with kind: mslam_pretraining")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one value; repeatable")
    options = parser.parse_args(arguments)

    recipe = load_mslam_recipe(options.recipe, options.set)
    checkpoint = find_resume_checkpoint(recipe)
    records = load_tables(recipe)
    processor = build_mslam_processor(recipe, records, checkpoint)
    model = build_mslam_model(recipe, processor)
    trainer = build_mslam_trainer(recipe, processor, model, records)
    if trainer.is_world_process_zero():
        save_recipe(recipe, recipe.output.dir)
    trainer.train(resume_from_checkpoint=checkpoint)
    finish_run(recipe, trainer, processor)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "pretrain_mslam.py"))
