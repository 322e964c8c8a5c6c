# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command line `python -m lab`, with one file per command."""

from collections.abc import Sequence

import mu2slam_hf
from lab.commands import (
    assess_tokenizer,
    boundary_accuracy,
    check_no_speech,
    judge,
    label,
    results,
    resynthesis,
    score_switches,
    study,
    sweep,
    switch_languages,
    synthesize,
    table,
    train_text_model,
)
from mu2slam_hf.cli.parsers import CommandParser
from mu2slam_hf.cli.program import Program

_PROGRAM = Program(
    name="python -m lab",
    description="Tools of the package's authors, run from a clone.",
    version=f"lab of mu2slam-hf {mu2slam_hf.__version__}",
    groups={
        "run experiments": (study, sweep, results, table, train_text_model),
        "synthetic speech, labels, and measurements on them": (
            *(synthesize, switch_languages, label, judge, assess_tokenizer, resynthesis, score_switches),
            check_no_speech,
            boundary_accuracy,
        ),
    },
)


def build_parser() -> CommandParser:
    """The parser of all commands, see `Program.build_parser`."""
    return _PROGRAM.build_parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, see `Program.run`."""
    return _PROGRAM.run(argv)
