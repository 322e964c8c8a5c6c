# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command `mu2slam`, with one file per subcommand.

torch and transformers are imported only when a command runs, so that `--help` is fast.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import mu2slam_hf
from lab.commands import assess_tokenizer, study, sweep, synthesize, table
from mu2slam_hf.cli import (
    adapt,
    add_language,
    align,
    average,
    calibrate,
    compare,
    corpora,
    evaluate,
    identify_language,
    init,
    inspect_data,
    plan,
    recipes,
    retrieve,
    train,
    train_speech_tokenizer,
    train_tokenizer,
    transcribe,
    translate,
)
from mu2slam_hf.cli.collection import postpone_collection
from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.cli.parsers import CommandParser

_COMMANDS = (
    *(transcribe, translate, adapt, evaluate, compare, table, init, add_language, train, sweep, study, average),
    *(train_tokenizer, train_speech_tokenizer, align, retrieve, identify_language, calibrate, assess_tokenizer),
    *(inspect_data, plan, synthesize, corpora, recipes),
)


def build_parser() -> CommandParser:
    """The parser of all commands; each stores its `run(args) -> exit status` in `args.run`."""
    parser = CommandParser(
        prog="mu2slam",
        description="Speech and text in many languages: transcribe, translate, train, evaluate.",
        epilog="`mu2slam COMMAND --help` (or `mu2slam help COMMAND`) describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"mu2slam-hf {mu2slam_hf.__version__}")
    subparsers: argparse._SubParsersAction[CommandParser] = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for command in _COMMANDS:
        command.add_parser(subparsers)
    parser.commands = dict(subparsers.choices)
    for name in parser.commands:
        parser.commands[name].commands = parser.commands
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: arguments; None for those of the process, which is then ours.

    Returns:
        Exit status: 0, or 1 after an error, which is printed to standard error as one line. Wrong usage exits with 2.
    """
    if argv is None:
        postpone_collection()
    # transformers imports torchao where it is installed, which warns of kernels for GPUs that it cannot load.
    # bitsandbytes warns at every product with a weight of 8 bits that float32 is rounded.
    for name in ("torchao", "torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(2, "mu2slam: error: a COMMAND is required\n")
    if arguments[0] == "help":
        arguments = [*arguments[1:2], "--help"]
    args = parser.parse_args(arguments)
    return run_and_report(lambda: args.run(args))
