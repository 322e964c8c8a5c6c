# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command `mu2slam`, with one file per subcommand.

torch and transformers are imported only when a command runs, so that `--help` is fast.
"""

import argparse
from collections.abc import Sequence

import mu2slam_hf
from mu2slam_hf.cli import (
    align,
    assess_tokenizer,
    corpora,
    evaluate,
    identify_language,
    recipes,
    retrieve,
    synthesize,
    train,
    train_speech_tokenizer,
    train_tokenizer,
    transcribe,
    translate,
)
from mu2slam_hf.cli.errors import run_and_report

_COMMANDS = (
    *(transcribe, translate, evaluate, train, train_tokenizer, train_speech_tokenizer),
    *(align, retrieve, identify_language, assess_tokenizer, synthesize, corpora, recipes),
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each stores its `run(args) -> exit status` in `args.run`."""
    parser = argparse.ArgumentParser(
        prog="mu2slam",
        description="Speech and text in many languages: transcribe, translate, train, evaluate.",
    )
    parser.add_argument("--version", action="version", version=f"mu2slam-hf {mu2slam_hf.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        Exit status: 0, or 1 after an error, which is printed to standard error as one line.
    """
    args = build_parser().parse_args(argv)
    return run_and_report(lambda: args.run(args))
