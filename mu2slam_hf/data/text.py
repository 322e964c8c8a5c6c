# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text normalisation on reading and before scoring."""

import re
import unicodedata

# Invisible characters that change ids but not the displayed text: soft hyphen, zero-width marks, bidi controls, BOM.
# The zero-width joiner and non-joiner are kept, because Persian and Indic spelling requires them.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'", "\u00b4": "'", "\u0060": "'"})
_LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "dz"})


def clean_text(text: str) -> str:
    """NFC without invisible marks; every run of white space is one space, with none at the ends.

    Choice: applied to every text of every corpus; it does not change the displayed text.
    """
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def normalize_for_scoring(text: str) -> str:
    """Lower case without punctuation, for WER and CER; apostrophes inside a word are kept.

    Choice: letters, marks, digits and symbols with a meaning (currency, mathematics) are kept; punctuation becomes a
    space. NFKC folds full-width forms.
    """
    text = unicodedata.normalize("NFKC", clean_text(text)).translate(_APOSTROPHES).lower()
    kept = []
    for position, char in enumerate(text):
        around = text[max(position - 1, 0) : position] + text[position + 1 : position + 2]
        if char == "'" and len(around) == 2 and around.isalnum():
            kept.append(char)
        elif unicodedata.category(char)[0] in "PZC" and char not in "\u200c\u200d":
            kept.append(" ")
        else:
            kept.append(char)
    return " ".join("".join(kept).split())


def has_spaces(lang: str) -> bool:
    """Whether words of the language are separated by spaces (by primary subtag)."""
    return lang.split("-")[0] not in _LANGUAGES_WITHOUT_SPACES


def join_texts(texts: list[str], lang: str) -> str:
    """Concatenate texts with the word separator of the language."""
    return (" " if has_spaces(lang) else "").join(texts)
