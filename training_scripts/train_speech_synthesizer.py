# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Train a speech synthesizer, which makes sound of speech ids.

    python training_scripts/train_speech_synthesizer.py --recipe configuration/recipes/speech_synthesizer/prompts5.yaml
    python training_scripts/train_speech_synthesizer.py --recipe ... --set speech_tokenizer=folder/of/a/tokenizer
    python -m torch.distributed.run --nproc_per_node 2 training_scripts/train_speech_synthesizer.py --recipe ...

Started again with the same recipe, a run resumes from its newest complete checkpoint and ends with the same weights.
The result is in `<output.dir>/final`; `mu2slam train` does the same.
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

    for run in load_runs(options.recipe, options.set, kind="speech_synthesis"):
        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "train_speech_synthesizer.py"))
