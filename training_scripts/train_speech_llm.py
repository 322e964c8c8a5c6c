# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Train the audio adapter between a speech encoder and a text model, with LoRA of the text model in a later stage.

    mu2slam init --speech-model S --language-model T --table-languages en,fr,ca --output-dir base
    MU2SLAM_BASE=base python training_scripts/train_speech_llm.py --recipe speech_llm/zero_resource
    MU2SLAM_BASE=base python training_scripts/train_speech_llm.py --recipe ... --set data.tasks.asr.share=8

The result is in `<output.dir>/final`: adapter and LoRA, a few megabytes, which are loaded together with their base.
"""

import argparse
import sys

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.recipes.runs.registry import load_runs


def main(arguments: list[str] | None = None) -> None:
    """Run a recipe from data to saved adapters."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="YAML file, or the name of a recipe of the package")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override one value; repeatable")
    options = parser.parse_args(arguments)

    for run in load_runs(options.recipe, options.set, kind="speech_llm"):
        data = run.load_data()
        processor = run.build_processor(data)
        model = run.build_model(processor, data)
        trainer = run.build_trainer(processor, model, data)
        run.train(trainer)


if __name__ == "__main__":
    sys.exit(run_and_report(main, "train_speech_llm.py"))
