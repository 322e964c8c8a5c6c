# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Text: cleaning and normalisation on reading, for models and for scoring; languages written without spaces."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from transformers.utils import logging

_LANGUAGES_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "dz"})


def has_spaces(lang: str) -> bool:
    """Whether words of the language are separated by spaces (by primary subtag)."""
    return lang.split("-")[0] not in _LANGUAGES_WITHOUT_SPACES


def join_texts(texts: list[str], lang: str) -> str:
    """Concatenate texts with the word separator of the language."""
    return (" " if has_spaces(lang) else "").join(texts)


logger = logging.get_logger(__name__)

NORMALIZE_CHOICES = ("auto", "always", "never")

# Invisible characters that change ids but not the displayed text: soft hyphen, zero-width marks, bidi controls, BOM.
# The zero-width joiner and non-joiner are kept, because Persian and Indic spelling requires them.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'", "\u00b4": "'", "\u0060": "'"})
# An apostrophe without a letter or digit on both sides.
_OUTER_APOSTROPHE = re.compile(r"(?<![^\W_])'|'(?![^\W_])")


class _SpacesForPunctuation(dict[int, str]):
    """A table for `str.translate`, filled as characters occur: corpora have millions of texts, but few characters."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        is_kept = char in "'\u200c\u200d" or unicodedata.category(char)[0] not in "PZC"
        return self.setdefault(code, char if is_kept else " ")


_SPACES_FOR_PUNCTUATION = _SpacesForPunctuation()


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
    return " ".join(_OUTER_APOSTROPHE.sub(" ", text).translate(_SPACES_FOR_PUNCTUATION).split())


def prepare_text(text: str, tokenizer: Any, normalize: str = "auto") -> str:
    """Clean and normalise a source text for a model; a warning lists the characters that its vocabulary does not have.

    Training texts are clean, too: letters with separate accents would be unknown characters.

    Args:
        text: one sentence.
        tokenizer: the model's tokenizer.
        normalize: "always": lower case without punctuation; "never"; or "auto": only if that leaves fewer unknown
            tokens. A model trained on lower-case text without punctuation does not support capitals; one trained on
            written text needs them.

    Raises:
        ValueError: another value of `normalize`.
    """
    if normalize not in NORMALIZE_CHOICES:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZE_CHOICES)}, got {normalize!r}.")
    text, normalized = clean_text(text), normalize_for_scoring(text)
    if normalize == "always":
        text = normalized
    elif normalize == "auto" and _num_unknown(normalized, tokenizer) < _num_unknown(text, tokenizer):
        text = normalized
    unknown = find_unknown_characters(text, tokenizer)
    if unknown:
        logger.warning(f"characters that are not in the vocabulary: {' '.join(unknown)}")
    return text


def find_unknown_characters(text: str, tokenizer: Any) -> list[str]:
    """The characters of a text that a tokenizer does not have, sorted."""
    return sorted({char for char in text if not char.isspace() and _num_unknown(char, tokenizer)})


def _num_unknown(text: str, tokenizer: Any) -> int:
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return int(ids.count(tokenizer.unk_token_id))


def decode_written(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    """Texts of the token ids that `write_tokens` of a model has written.

    Args:
        tokenizer: tokenizer of any model.
        rows: token ids of each text.
    """
    # A CTC tokenizer would collapse tokens that were collapsed already.
    options = {"group_tokens": False} if getattr(tokenizer, "collapses_repeats", False) else {}
    return list(tokenizer.batch_decode(rows, skip_special_tokens=True, **options))
