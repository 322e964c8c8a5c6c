# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages in options: any spelling, checked against those of the model before it is loaded."""

import argparse
from typing import Any

from mu2slam_hf.inference.languages import resolve_language, resolve_source_language
from mu2slam_hf.models.language_codes import canonical_language


def language_code(text: str) -> str:
    """Canonical code of a language in any spelling: `es`, `spa`, `es_ES`, `Spanish`.

    Raises:
        ValueError: unknown language; the message lists the most similar ones.
    """
    return canonical_language(text)


def model_config(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration of the model of `--model`; its weights are not read."""
    from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint
    from mu2slam_hf.checkpoints.folders import read_config

    return read_config(default_checkpoint() if args.model == DEFAULT_NAME else args.model)


def resolve_languages(args: argparse.Namespace, config: dict[str, Any], **options: str) -> None:
    """Replace languages of the arguments by their codes in the model.

    Args:
        args: arguments of the command; values are a string, a list of strings or None. `auto` becomes None.
        config: the model's configuration.
        **options: name of the attribute -> option, for messages.

    Raises:
        ValueError: a language that is unknown or that the model does not support.
    """
    languages = config.get("languages")
    for name, option in options.items():
        value = getattr(args, name)
        if isinstance(value, list):
            setattr(args, name, list(dict.fromkeys(resolve_language(text, languages, option) for text in value)))
        elif value is not None:
            setattr(args, name, resolve_source_language(value, languages, option))
