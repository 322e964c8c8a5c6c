# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam languages`: the languages of a model, and what it can do in them."""

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mu2slam_hf.cli.languages import model_config
from mu2slam_hf.cli.model_options import add_model_option
from mu2slam_hf.cli.options import add_json_option
from mu2slam_hf.inference.recordings import print_json
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES, UNDETERMINED

if TYPE_CHECKING:
    from mu2slam_hf.models.modules_capabilities import Capabilities


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "languages",
        help="list the languages of a model, and what it can do",
        description="Lists the languages of a model with their codes and names, and whether it transcribes them, "
        "translates from and into them, and identifies them. The weights are not read. Whether a model is good at a "
        "language depends on its training data; see its card.",
    )
    add_model_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints a line for each language."""
    config = model_config(args)
    languages = [code for code in config.get("languages") or [] if code != UNDETERMINED]
    if not languages:
        raise ValueError(f"--model {args.model}: this model has no list of languages")
    from mu2slam_hf.checkpoints.model_types import declared_capabilities
    from mu2slam_hf.evaluation.scores.tables import align_columns

    uses = list(list_uses(declared_capabilities(config), config))
    if args.json:
        for code in languages:
            print_json({"language": code, "name": LANGUAGE_NAMES.get(code), "uses": uses})
        return 0
    rows = [("code", "name", "uses"), *((code, LANGUAGE_NAMES.get(code, "-"), ", ".join(uses)) for code in languages)]
    print("\n".join(align_columns(rows, num_left=3)))
    return 0


def list_uses(capabilities: "Capabilities", config: Mapping[str, Any]) -> Iterator[str]:
    """What a model can do in each of its languages."""
    if "asr" in capabilities.tasks:
        yield "transcribe"
    if capabilities.translates and len(config["languages"]) > 2:
        yield "translate from and into"
    if capabilities.identifies_languages:
        yield "identify"
