# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The parser of commands: options in full, and suggestions for those that are misspelt."""

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.data.recording_files import RECORDING_SUFFIXES

# What other programs and earlier versions call an option -> what it may be called here.
_OTHER_NAMES = {
    "--l": ("--from", "--lang"),
    "--lang": ("--from",),
    "--language": ("--lang",),
    "--from": ("--lang",),
    "--tiers": ("--tier",),
    "--src": ("--from", "--lang"),
    "--src-lang": ("--from", "--lang"),
    "--tgt": ("--to",),
    "--tgt-lang": ("--to",),
    "--translate": ("--task", "--to"),
    "--format": ("--output-format",),
    "--outdir": ("--output-dir",),
    "--out": ("--output-dir",),
    "--output-file": ("--output-dir", "--results"),
    "--out-file": ("--output-dir", "--results"),
    "--timestamps": ("--word-times",),
    "--word-time": ("--word-times",),
    "--return-timestamps": ("--word-times",),
    "--diarize": ("--channels",),
    "--speakers": ("--channels",),
    "--chunk-size": ("--chunk-length",),
    "--chunk-length-s": ("--chunk-length",),
    "--batch-size": ("--batch-seconds",),
    "--beam-size": ("--num-beams",),
    "--beams": ("--num-beams",),
    "--force": ("--overwrite",),
    "--model-name": ("--model",),
    "--model-name-or-path": ("--model",),
    "--checkpoint": ("--model",),
    "--gpu": ("--device",),
    "--cuda": ("--device",),
    "--plots": ("--plot",),
    "--source-lang": ("--lang", "--condition"),
    "--limit": ("--num-recordings",),
    "--out-json": ("--results",),
    "--input-list": ("--file-list",),
    "--config": ("--recipe",),
    "--override": ("--set",),
}
# Options of other programs that are not needed here.
_NEEDLESS = {name: "progress and results are always printed" for name in ("--verbose", "--v", "--progress")}
_OTHER_COMMANDS = {
    "asr": "transcribe",
    "transcription": "transcribe",
    "recognize": "transcribe",
    "mt": "translate",
    "translation": "translate",
    "detect-language": "identify-language",
    "language": "identify-language",
    "lid": "identify-language",
    "list-languages": "languages",
    "info": "languages",
    "models": "languages",
    "model": "languages",
    "capabilities": "languages",
    "alignment": "align",
    "search": "retrieve",
    "eval": "evaluate",
    "score": "evaluate",
    "finetune": "train",
    "fit": "train",
    "check-data": "adapt --check",
    "inspect": "adapt --check",
    "inspect-data": "adapt --check",
}


class CommandParser(argparse.ArgumentParser):
    """A parser that does not accept abbreviations, and names the most similar option in place of an unknown one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)
        self.commands: Mapping[str, CommandParser] = {}
        """Parsers of all commands by name, also in the parser of each command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but unknown options are reported first, and superfluous arguments by their command."""
        if args is not None:
            self._check(list(args))
        parsed, rest = super().parse_known_args(args, namespace)
        if rest and self._subparsers is None:
            before = list(args or [])[: list(args or []).index(rest[0])][-1:]
            file = before == ["--json"] and "--results" in self._option_string_actions
            hint = f"; --json takes no file, did you mean --results {rest[0]}?" if file else ""
            self.error(f"unexpected argument {rest[0]!r}{hint}")
        return parsed, rest

    def error(self, message: str) -> Any:
        """Exits with a message of one line, without the usage, which may be long."""
        self.exit(2, f"{self.prog}: error: {message} (`{self.prog} --help` lists the arguments)\n")

    def _check(self, arguments: Sequence[str]) -> None:
        known = self._option_string_actions
        is_command = self._subparsers is None
        for argument in arguments:
            if argument == "--":
                return
            if not _is_option(argument):
                if is_command:
                    continue
                if argument not in self.commands:
                    self.error(describe_unknown_command(argument, list(self.commands), self.prog))
                return  # the rest belongs to the command
            name = argument.split("=", 1)[0]
            if name not in known:
                self.error(self._describe_unknown_option(name))

    def _describe_unknown_option(self, name: str) -> str:
        message = f"unknown option {name}"
        plain = "--" + name.strip("-").lower()
        if plain in _NEEDLESS:
            return f"{message}; it is not needed: {_NEEDLESS[plain]}"
        own = find_similar_option(name, options_of(self))
        if own:
            return f"{message}; did you mean {own}?"
        others = {other: options_of(parser) for other, parser in self.commands.items() if parser is not self}
        exact = [other for other, options in others.items() if name in options]
        if exact:
            return f"{message}; it is an option of {' and '.join(f'`{self.commands[other].prog}`' for other in exact)}"
        for other, options in others.items():
            if similar := find_similar_option(name, options):
                return f"{message}; did you mean {similar} of `{self.commands[other].prog}`?"
        return message


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """All option strings of a parser."""
    return [name for action in parser._actions for name in action.option_strings]


def find_similar_option(name: str, options: Sequence[str]) -> str | None:
    """The option that is meant by a misspelt one: other separators or case, another program's name, a few letters."""
    plain = "--" + re.sub(r"[_.]+", "-", name.strip("-")).lower()
    if plain in options:
        return plain
    for other in _OTHER_NAMES.get(plain, ()):
        if other in options:
            return other
    long = [option for option in options if option.startswith("--")]
    near = difflib.get_close_matches(plain, long, n=1, cutoff=0.75)
    if near:
        return near[0]
    # An abbreviation, or words in another order.
    longer = [option for option in long if option.startswith(plain) and len(plain) > 4]
    words = set(plain.strip("-").split("-"))
    longer += [option for option in long if len(words) > 1 and set(option.strip("-").split("-")) == words]
    return longer[0] if longer else None


def describe_unknown_command(name: str, commands: Sequence[str], program: str) -> str:
    """A message for an unknown command, with the one that is probably meant."""
    plain = name.lower().replace("_", "-")
    near = difflib.get_close_matches(plain, commands, n=1, cutoff=0.6)
    meant = plain if plain in commands else _OTHER_COMMANDS.get(plain, near[0] if near else None)
    path = Path(name)
    if path.suffix.lower() in RECORDING_SUFFIXES or name.startswith(("http://", "https://")) or path.is_dir():
        meant = f"transcribe {name}"
    if meant is not None and meant.split()[0] not in commands:
        meant = None
    hint = f"; did you mean `{program} {meant}`? All commands: " if meant else "; the commands are "
    return f"unknown command {name!r}{hint}{', '.join(commands)}"


def _is_option(argument: str) -> bool:
    """Whether argparse takes an argument for an option: with a dash, no number, without spaces."""
    if len(argument) < 2 or argument[0] != "-" or re.fullmatch(r"-\d+|-\d*\.\d+", argument):
        return False
    return " " not in argument.split("=", 1)[0]
