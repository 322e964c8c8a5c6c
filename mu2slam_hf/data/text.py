# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text normalisation on reading and before scoring, and languages that are written without spaces."""

from mu2slam_hf.models.modules_text import clean_text as clean_text
from mu2slam_hf.models.modules_text import normalize_for_scoring as normalize_for_scoring

_LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "dz"})


def has_spaces(lang: str) -> bool:
    """Whether words of the language are separated by spaces (by primary subtag)."""
    return lang.split("-")[0] not in _LANGUAGES_WITHOUT_SPACES


def join_texts(texts: list[str], lang: str) -> str:
    """Concatenate texts with the word separator of the language."""
    return (" " if has_spaces(lang) else "").join(texts)
