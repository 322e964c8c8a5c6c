# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The options `--option NAME=VALUE` of corpora known by name, and reading with them."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any


def named_value(text: str) -> tuple[str, Any]:
    """`domains=[everyday]` as a pair; the value is read as YAML."""
    import yaml

    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"the value of {text!r} is not valid YAML") from error


def corpus_options(args: argparse.Namespace, corpora: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Values of `--option` by corpus; of several corpora, each has those that its loader knows.

    Args:
        args: arguments of `options.add_source_options`.
        corpora: names of the corpora of the command.

    Raises:
        ValueError: an unknown corpus, or an option that none of the corpora has; the message lists the known ones.
    """
    from mu2slam_hf.data.corpora.registry import find_corpus

    known = {name: find_corpus(name).options for name in corpora}
    for option, _ in args.corpus_options:
        if not corpora:
            raise ValueError(f"--option {option} requires --corpus: it is an option of the loader of a corpus")
        if not any(option in options for options in known.values()):
            there = "; ".join(f"the options of {name} are {', '.join(options)}" for name, options in known.items())
            raise ValueError(f"--option {option}: unknown option; {there}")
    return {
        name: {option: value for option, value in args.corpus_options if option in options}
        for name, options in known.items()
    }


def load_corpora(
    args: argparse.Namespace, sources: Sequence[tuple[str, str]], split: str
) -> Iterator[tuple[str, list[Any]]]:
    """Name and records of each corpus.

    Args:
        args: arguments of `options.add_source_options`.
        sources: name and folder of each corpus.
        split: split of the corpora.

    Raises:
        ValueError: an unknown corpus, or an unknown option or invalid value of its loader.
    """
    from mu2slam_hf.data.corpora.registry import load_corpus

    options = corpus_options(args, [name for name, _ in sources])
    for name, root in sources:
        try:
            yield name, load_corpus(name, root, split, **options[name])
        except TypeError as error:  # a value of another type than the loader expects
            if not options[name]:
                raise
            given = " ".join(f"{option}={value!r}" for option, value in options[name].items())
            raise ValueError(f"--option: {name} cannot be read with {given}: {error}") from error


def load_single_corpus(args: argparse.Namespace, split: str) -> list[Any]:
    """Records of the corpus of a command that takes one; none without `--corpus`.

    Args:
        args: arguments of the command after `options.check_source`.
        split: split of the corpus.

    Raises:
        ValueError: as `load_corpora`.
    """
    sources = [(args.corpus, args.root)] if args.corpus else []
    return [record for _, records in load_corpora(args, sources, split) for record in records]
