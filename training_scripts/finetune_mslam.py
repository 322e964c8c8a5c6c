# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tune mSLAM with a head, frozen, partly frozen or in full: classes of speech or text, or CTC.

    RECIPES=configuration/recipes/mslam
    python training_scripts/finetune_mslam.py --recipe $RECIPES/language_identification.yaml
    python training_scripts/finetune_mslam.py --recipe $RECIPES/finetune_ctc_prompts5.yaml
    python training_scripts/finetune_mslam.py --recipe ... --set model.init_from=runs/mine/final
    python training_scripts/finetune_mslam.py --recipe ... --set head.trainable_layers=2

The result is in `<output.dir>/final`: the model, and for every test corpus a confusion matrix (text, JSON, PNG) or the
transcripts of CTC next to their references.
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

    for run in load_runs(options.recipe, options.set, kind="head_finetuning"):
        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "finetune_mslam.py"))
