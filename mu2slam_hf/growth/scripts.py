# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scripts of languages: tokens that only some languages of a model write.

Scripts have the names with which Unicode begins the names of their letters (CYRILLIC, DEVANAGARI, CJK).
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from mu2slam_hf.models.language_codes import LANGUAGE_NAMES, UNDETERMINED

LATIN = "LATIN"
MAX_TOKENS = 4096
"""Choice: vocabularies with more tokens of a script are not restricted, because the ids are in the configuration."""

# Languages of `LANGUAGE_NAMES` that are not written in Latin letters.
_LANGUAGES_BY_SCRIPT = {
    "ARABIC": "ar ckb fa ps sd ur",
    "ARMENIAN": "hy",
    "BENGALI": "as bn",
    "CJK": "ja yue zh",
    "CYRILLIC": "be bg kk ky mk mn ru sr tg uk",
    "DEVANAGARI": "hi mr ne",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he yi",
    "HIRAGANA": "ja",
    "KANNADA": "kn",
    "KATAKANA": "ja",
    "KHMER": "km",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
_MIN_SHARE = 0.2
_MODIFIERS = ("MODIFIER", "COMBINING", "FULLWIDTH", "MATHEMATICAL", "FEMININE", "MASCULINE", "MICRO", "OHM", "KELVIN")


@lru_cache(maxsize=65536)
def script_of(char: str) -> str | None:
    """Script of a letter by its Unicode name, such as LATIN; None for marks, digits, punctuation and modifiers."""
    if not unicodedata.category(char).startswith("L"):
        return None
    script = unicodedata.name(char, "").split(" ")[0]
    return None if script in _MODIFIERS or not script else script


def find_scripts(characters: Iterable[str]) -> set[str]:
    """The scripts with at least a fifth of the different letters."""
    counts = Counter(script for char in set(characters) if (script := script_of(char)))
    return {script for script, count in counts.items() if count >= _MIN_SHARE * counts.total()}


def writes_script(code: str, script: str) -> bool:
    """Whether texts of a language may have letters of a script; True for languages whose scripts are not known."""
    language, *parts = code.split("-")
    if script == LATIN or language not in LANGUAGE_NAMES or language == UNDETERMINED:
        return True
    if any(len(part) == 4 for part in parts):  # a script of its own: sr-Latn
        return "Latn" not in parts
    return language in _LANGUAGES_BY_SCRIPT.get(script, "").split()


def restrict_scripts(
    tokens: Mapping[str, Sequence[int]],
    code: str,
    characters: Iterable[str],
    languages: Sequence[str],
    vocabulary: Mapping[str, int],
) -> dict[str, list[int]]:
    """Let no language write the script of a new language that is not its own.

    Training on a new language changes the weights that it shares with the others: without this, a model with Russian
    wrote Cyrillic letters into Spanish after it had been adapted to Bulgarian.

    Args:
        tokens: `config.restricted_tokens`: by language, tokens that only languages with them may write.
        code: the new language, or one that is trained further.
        characters: the letters of its texts. Scripts other than Latin with a fifth of them are restricted.
        languages: all languages of the model.
        vocabulary: text tokens with their ids.

    Returns:
        `tokens`, also with those that consist of such letters, by each language that is written in them.
    """
    restricted = {language: set(ids) for language, ids in tokens.items()}
    # Those that belong to some languages already stay with them.
    limited = set().union(*restricted.values())
    for script in sorted(find_scripts(characters) - {LATIN}):
        ids = {
            index
            for token, index in vocabulary.items()
            if index not in limited and {script_of(char) for char in token} - {None} == {script}
        }
        if len(ids) > MAX_TOKENS or all(writes_script(language, script) for language in languages):
            continue
        for language in languages:
            if language == code or writes_script(language, script):
                restricted.setdefault(language, set()).update(ids)
    return {language: sorted(ids) for language, ids in restricted.items() if ids}
