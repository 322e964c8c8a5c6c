# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Pre-train mSLAM, one encoder for speech and text, or Maestro, whose text has the frame rate of speech.

    python training_scripts/pretrain_mslam.py --recipe configuration/recipes/mslam/pretrain_small_cpu.yaml
    python training_scripts/pretrain_mslam.py --recipe ... --set model.init_encoder_from=folder/of/w2v-bert-2.0
    python training_scripts/pretrain_mslam.py --recipe configuration/recipes/maestro/pretrain_small_cpu.yaml
    python -m torch.distributed.run --nproc_per_node 2 training_scripts/pretrain_mslam.py --recipe ...

Started again with the same recipe, a run resumes from its newest complete checkpoint and ends with the same weights.
The result is in `<output.dir>/final`: `finetune_mslam.py` and others start from it.
"""

import argparse
import sys

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.recipes.runs.registry import load_runs


def main(arguments: list[str] | None = None) -> None:
    """Run a recipe from data to saved model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="YAML file, or the name of a recipe of the package")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one value; repeatable")
    options = parser.parse_args(arguments)

    for run in load_runs(options.recipe, options.set, kind=("mslam_pretraining", "maestro_pretraining")):
        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "pretrain_mslam.py"))
