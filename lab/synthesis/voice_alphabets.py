# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The characters that the voices of engines other than espeak-ng can read.

These voices drop characters that they do not know, without a message, or abort the sentence. Texts are reduced to
known characters, and a text that cannot be reduced without a change of its words is not spoken.
"""

import unicodedata

_ASCII_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
# Read as pauses and as the melody of the sentence.
_PUNCTUATION = ".,:;?! "

ALPHABETS = {
    "en": _ASCII_LETTERS + _DIGITS + _PUNCTUATION + "'-%$&",
    "es": _ASCII_LETTERS + "áéíñóúü" + _DIGITS + _PUNCTUATION + "¡¿",
    "fr": _ASCII_LETTERS + "àâæçèéêëîïôùûüÿœ" + _DIGITS + _PUNCTUATION + "'-",
    # A hyphen between spaces is read as "meno", and "%" aborts the sentence.
    "it": _ASCII_LETTERS + "àáèéìíòóùú" + _DIGITS + _PUNCTUATION + "'",
    # Latin letters are spelled with the rules of English.
    "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюяё" + _DIGITS + _PUNCTUATION + "-",
}
"""Maps languages to the characters that their voices can read, in lower case."""

# Signs that are read as words: without them the transcript would have words that are not spoken.
_SIGNS = "%&@#*\u00a7\u2030"
_REPLACEMENTS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'", "\u2010": "-", "\u2011": "-"})


def spoken_text(text: str, lang: str) -> str:
    """The text as it is given to a voice.

    Accents that the voice does not know are removed from their letters, and unknown punctuation is replaced by spaces.

    Args:
        text: text to speak.
        lang: one of `ALPHABETS`.

    Returns:
        the text; empty if it contains other characters, or no letter and no digit.
    """
    alphabet = ALPHABETS[lang]
    characters = []
    for character in unicodedata.normalize("NFC", text).translate(_REPLACEMENTS):
        if character.lower() in alphabet:
            characters.append(character)
        elif unicodedata.category(character)[0] in "PZC" and character not in _SIGNS:
            characters.append(" ")
        else:
            base = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
            if not base or any(c.lower() not in alphabet for c in base):
                return ""
            characters.append(base)
    reduced = " ".join("".join(characters).split())
    return reduced if any(character.isalnum() for character in reduced) else ""
