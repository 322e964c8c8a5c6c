# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command `mu2slam`, with one file per subcommand.

torch and transformers are imported only when a command runs, so that `--help` is fast.
"""

from collections.abc import Sequence

import mu2slam_hf
from mu2slam_hf.cli.commands import (
    adapt,
    add_language,
    align,
    average,
    calibrate,
    export,
    export_encoder,
    identify_language,
    index,
    init,
    listen,
    publish,
    retrieve,
    search,
    serve,
    speak,
    tone_corpus,
    train,
    transcribe,
    translate,
)
from mu2slam_hf.cli.commands.inspection import compare, corpora, evaluate, languages, plan, probe, recipes
from mu2slam_hf.cli.parsers import CommandParser
from mu2slam_hf.cli.program import Program

_PROGRAM = Program(
    name="mu2slam",
    description="Speech and text in many languages: transcribe, translate, train, evaluate.",
    version=f"mu2slam-hf {mu2slam_hf.__version__}",
    groups={
        "use a model": (
            *(transcribe, listen, translate, align, index, search, retrieve, identify_language, speak, serve, publish),
        ),
        "train a model": (adapt, init, add_language, train, calibrate, average, export, export_encoder, tone_corpus),
        "inspect results, data and recipes": (languages, evaluate, compare, probe, plan, corpora, recipes),
    },
)


def build_parser() -> CommandParser:
    """The parser of all commands, see `Program.build_parser`."""
    return _PROGRAM.build_parser()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, see `Program.run`."""
    return _PROGRAM.run(argv)
