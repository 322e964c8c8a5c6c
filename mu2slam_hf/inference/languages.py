# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Languages in any spelling, as the model calls them; imports neither torch nor transformers."""

from collections.abc import Sequence

from mu2slam_hf.models.language_codes import UNDETERMINED, canonical_language, language_index

AUTOMATIC = "auto"


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
        option: name of the option or field, for messages.

    Raises:
        ValueError: a language that is unknown or that the model does not support.
    """
    try:
        if not languages:
            return canonical_language(text)
        try:
            code = canonical_language(text)
        except ValueError:
            code = text  # the message of the next call names languages of the model
        return languages[language_index(code, languages)]
    except ValueError as error:
        raise ValueError(f"{option} {text}: {error}") from None
