# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`--adapter`: low-rank adapters of languages on one model, one of which is used."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def add_adapters_option(
    parser: Any, use: str = "given for several languages, those of the language of --from are used"
) -> None:
    """`--adapter NAME=FOLDER`, as the list of pairs `args.adapters`.

    Args:
        parser: parser or group.
        use: which of several adapters is used.
    """
    parser.add_argument(
        "--adapter",
        dest="adapters",
        action="append",
        type=_named_folder,
        default=[],
        metavar="NAME=FOLDER",
        help=f"adapters that `mu2slam adapt --method lora` has trained on this model (its folder `adapter`); {use}",
    )


def read_adapters(named_folders: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The languages, characters and base model of adapters, by name.

    Args:
        named_folders: name and folder of each adapter.

    Raises:
        ValueError: a name is given twice, or a folder has no adapters of this package.
    """
    growths: dict[str, Any] = {}
    if named_folders:
        from mu2slam_hf.models.modules_adapter_growth import AdapterGrowth
    for name, folder in named_folders:
        if name in growths:
            raise ValueError(f"--adapter {name}={folder}: the name {name} is given twice")
        growth = AdapterGrowth.load(folder) if Path(folder).is_dir() else None
        if growth is None:
            reason = "no adapter_growth.json" if Path(folder).is_dir() else "no such folder"
            raise ValueError(
                f"--adapter {name}={folder}: {reason}; expected the folder `adapter` of a model of "
                "`mu2slam adapt --method lora`"
            )
        growths[name] = growth
    return growths


def with_added_languages(languages: Sequence[str], adapters: Mapping[str, Any]) -> list[str]:
    """The languages of a model and those that adapters add."""
    added = [code for growth in adapters.values() for code in growth.new_languages]
    return list(dict.fromkeys([*languages, *added]))


def choose_adapter(adapters: Mapping[str, Any], source_lang: str | None) -> str | None:
    """Name of the adapter for a language: the one with this name, else the only one that was trained on it.

    Args:
        adapters: from `read_adapters`.
        source_lang: the language of the recordings, None if it is not given.

    Raises:
        ValueError: there are several, and the language does not decide.
    """
    if len(adapters) < 2:
        return next(iter(adapters), None)
    if source_lang in adapters:
        return source_lang
    fitting = [name for name, growth in adapters.items() if source_lang in growth.new_languages]
    fitting = fitting or [name for name, growth in adapters.items() if source_lang in growth.languages]
    if len(fitting) != 1:
        known = "; ".join(f"{name} for {', '.join(growth.languages)}" for name, growth in adapters.items())
        given = "--from is not given" if source_lang is None else f"--from is {source_lang}"
        raise ValueError(f"--adapter: the language decides between several, but {given}: {known}")
    return fitting[0]


def _named_folder(text: str) -> tuple[str, str]:
    name, separator, folder = text.partition("=")
    if not (separator and name.strip() and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, got {text!r}")
    return name.strip(), folder
