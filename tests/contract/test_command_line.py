# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""One option has one meaning: the same destination, kind of value and explanation in every command that has it."""

import argparse
import re
from collections import defaultdict

import pytest

from lab.commands import build_parser as build_lab_parser
from mu2slam_hf.cli import build_parser
from mu2slam_hf.cli.parsers import CommandParser

# An option means the same in both command lines; they share no name of a command.
COMMANDS = {**build_parser().commands, **build_lab_parser().commands}
# Options whose value is a list in one command and single in another: the element has the same meaning.
REPEATED = {"--corpus", "--manifest"}


def options_of(parser):
    return [action for action in parser._actions if action.option_strings]


def by_option():
    """Option string -> command -> action."""
    found = defaultdict(dict)
    for name, parser in COMMANDS.items():
        for action in options_of(parser):
            for option in action.option_strings:
                found[option][name] = action
    return found


SHARED = {option: actions for option, actions in by_option().items() if len(actions) > 1}


def meaning(action):
    """The explanation up to its details, which follow a colon, semicolon or bracket."""
    return re.split(r"[:;(]", action.help)[0].strip()


def kind_of_value(action):
    """A switch, or the function that reads the value."""
    if isinstance(action, (argparse._StoreTrueAction, argparse._HelpAction)):
        return "switch"
    # A list of languages or formats in one argument, or several numbers, are different kinds.
    return getattr(action.type, "__name__", "str")


def test_there_are_shared_options():
    assert {"--json", "--languages", "--limit", "--results", "--from", "--to", "--output-dir", "--plot"} <= set(SHARED)


@pytest.mark.parametrize("option", sorted(SHARED))
def test_an_option_has_one_meaning(option):
    actions = SHARED[option]
    assert len({action.dest for action in actions.values()}) == 1, actions
    assert len({meaning(action) for action in actions.values()}) == 1, {n: meaning(a) for n, a in actions.items()}
    assert len({tuple(action.option_strings) for action in actions.values()}) == 1, actions
    assert len({kind_of_value(action) for action in actions.values()}) == 1, actions
    assert len({action.metavar for action in actions.values()}) == 1, actions
    assert option in REPEATED or len({str(action.nargs) for action in actions.values()}) == 1, actions


def test_every_option_is_explained_and_has_a_long_name_with_hyphens():
    for name, parser in COMMANDS.items():
        for action in options_of(parser):
            assert action.help, f"{name} {action.option_strings}"
            long = [option for option in action.option_strings if option.startswith("--")]
            assert long and all(re.fullmatch(r"--[a-z]+(-[a-z]+)*", option) for option in long), long


def test_the_help_lists_each_command_in_one_group():
    for parser in (build_parser(), build_lab_parser()):
        shown = re.findall(r"^  ([a-z][a-z-]+)(?:  |$)", parser.format_help(), re.MULTILINE)
        assert sorted(shown) == sorted(parser.commands)
    titles = re.findall(r"^(\w.*):$", build_parser().format_help(), re.MULTILINE)
    assert titles == ["options", "use a model", "train a model", "inspect results, data and recipes"]


def test_the_help_shows_every_option():
    for name, parser in COMMANDS.items():
        assert all(action.help != argparse.SUPPRESS for action in parser._actions), name


def test_no_parser_accepts_abbreviations():
    for name, parser in COMMANDS.items():
        assert isinstance(parser, CommandParser) and parser.allow_abbrev is False, name
    with pytest.raises(SystemExit):
        build_parser().parse_args(["transcribe", "a.wav", "--word"])


@pytest.mark.parametrize("name", COMMANDS)
def test_positional_arguments_are_described(name):
    for action in COMMANDS[name]._actions:
        if not action.option_strings:
            assert action.help and action.metavar
