# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages in options: any spelling, checked against those of the model before it is loaded."""

import argparse
from collections.abc import Sequence
from typing import Any

from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language, language_index

AUTOMATIC = "auto"


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


def resolve_source_language(text: str | None, languages: Sequence[str] | None, option: str) -> str | None:
    """As `resolve_language`; None for `auto`, `und` and None, which mean that the language is predicted."""
    if text is None or text.lower() == AUTOMATIC:
        return None
    code = resolve_language(text, languages, option)
    return None if code == UNDETERMINED else code


def resolve_language(text: str, languages: Sequence[str] | None, option: str) -> str:
    """The code of a language in a model.

    Args:
        text: any spelling.
        languages: codes of the model; None or empty if it has no list.
        option: name of the option, for messages.

    Raises:
        ValueError: a language that is unknown or that the model does not support.
    """
    try:
        if not languages:
            return language_code(text)
        try:
            code = language_code(text)
        except ValueError:
            code = text  # the message of the next call names languages of the model
        return languages[language_index(code, languages)]
    except ValueError as error:
        raise ValueError(f"{option} {text}: {error}") from None
