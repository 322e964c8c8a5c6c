# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A command line made of commands, one module each, which its help lists in groups."""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.cli.collection import postpone_collection
from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.cli.parsers import CommandParser


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command line.

    Attributes:
        name: how it is started, such as `mu2slam`.
        description: first line of its help.
        version: what `--version` prints.
        groups: titles of the help -> modules with `add_parser(subparsers)`.
    """

    name: str
    description: str
    version: str
    groups: Mapping[str, Sequence[Any]]

    def build_parser(self) -> CommandParser:
        """The parser of all commands; each stores its `run(args) -> exit status` in `args.run`."""
        parser = CommandParser(
            prog=self.name,
            usage=f"{self.name} [-h] [--version] COMMAND ...",
            description=self.description,
            epilog=f"`{self.name} COMMAND --help` (or `{self.name} help COMMAND`) describes a command.",
        )
        parser.add_argument("--version", action="version", version=self.version)
        # Its own list of commands has no groups.
        subparsers: argparse._SubParsersAction[CommandParser] = parser.add_subparsers(
            prog=self.name, metavar="COMMAND", required=True, help=argparse.SUPPRESS
        )
        for title, modules in self.groups.items():
            before = len(subparsers._choices_actions)
            for module in modules:
                module.add_parser(subparsers)
            parser.add_argument_group(title)._group_actions += subparsers._choices_actions[before:]
        parser.commands = dict(subparsers.choices)
        for name in parser.commands:
            parser.commands[name].commands = parser.commands
        return parser

    def run(self, argv: Sequence[str] | None = None) -> int:
        """Runs one command.

        Args:
            argv: arguments; None for those of the process, which is then ours.

        Returns:
            Exit status: 0, or 1 after an error, which is printed to standard error as one line. Wrong usage exits
            with 2.
        """
        if argv is None:
            postpone_collection()
        # transformers imports torchao where it is installed, which warns of kernels for GPUs that it cannot load.
        # bitsandbytes warns at every product with a weight of 8 bits that float32 is rounded.
        for name in ("torchao", "torch.utils._pytree", "bitsandbytes"):
            logging.getLogger(name).setLevel(logging.ERROR)
        arguments = list(sys.argv[1:] if argv is None else argv)
        parser = self.build_parser()
        if not arguments:
            parser.print_help(sys.stderr)
            parser.exit(2, f"{self.name}: error: a COMMAND is required\n")
        if arguments[0] == "help":
            arguments = [*arguments[1:2], "--help"]
        args = parser.parse_args(arguments)
        return run_and_report(lambda: args.run(args), self.name)
