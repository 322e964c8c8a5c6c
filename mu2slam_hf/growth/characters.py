# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Characters that a tokenizer does not have: how often they occur, and which known ones they resemble."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.data.text import find_unknown_characters


@dataclass(frozen=True, kw_only=True)
class UnknownCharacter:
    """A character of texts that a tokenizer does not have.

    Attributes:
        char: the character.
        count: number of occurrences.
        languages: languages of the texts that have it.
        example: the first text that has it.
    """

    char: str
    count: int
    languages: tuple[str, ...]
    example: str

    def describe(self) -> str:
        """One line: character, code point, name, count, languages and example."""
        place = self.example.find(self.char)
        shown = self.example[max(0, place - 20) : place + 20]
        times = "once" if self.count == 1 else f"{self.count} times"
        return f"{self.char} {describe_character(self.char)}, {times} in {', '.join(self.languages)}: {shown!r}"


def describe_character(char: str) -> str:
    """`U+025B LATIN SMALL LETTER OPEN E`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, 'without name')}"


def count_unknown_characters(texts: Iterable[tuple[str, str]], tokenizer: Any) -> list[UnknownCharacter]:
    """The characters of texts in NFC that a tokenizer does not have, most frequent first.

    Args:
        texts: (language, text).
        tokenizer: the tokenizer; white space is never unknown.
    """
    counts: Counter[str] = Counter()
    known: dict[str, bool] = {}
    languages: dict[str, set[str]] = {}
    examples: dict[str, str] = {}
    for lang, text in texts:
        normalized = unicodedata.normalize("NFC", text)
        for char in set(normalized):
            if char not in known:
                known[char] = not find_unknown_characters(char, tokenizer)
            if not known[char]:
                counts[char] += normalized.count(char)
                languages.setdefault(char, set()).add(lang)
                examples.setdefault(char, normalized)
    return [
        UnknownCharacter(char=char, count=count, languages=tuple(sorted(languages[char])), example=examples[char])
        for char, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def find_related(char: str, known: Collection[str]) -> tuple[list[str], str]:
    """Known characters that a new one resembles, and the reason.

    The first rule that finds a known character applies: the letter without diacritics (the first character of the
    canonical decomposition); the other case; the characters of the compatibility decomposition; the letter in the
    Unicode name ("LATIN SMALL LETTER OPEN O": o, "LATIN SMALL LETTER B WITH HOOK": b); all characters of the same
    category and script; of the same category; all letters; all characters.

    Args:
        char: one character.
        known: characters of the tokenizer, at least one.
    """
    rules: list[tuple[str, Callable[[], Iterable[str]]]] = [
        ("the letter without diacritics", lambda: unicodedata.normalize("NFD", char)[:1]),
        ("the other case", lambda: _other_case(char)),
        ("the compatibility decomposition", lambda: unicodedata.normalize("NFKD", char)),
        ("the letter in its name", lambda: _letter_in_name(char)),
        ("the other case of the letter in its name", lambda: map(str.swapcase, _letter_in_name(char))),
        ("all of its kind and script", lambda: (item for item in known if _kind(item) == _kind(char))),
        ("all of its kind", lambda: (item for item in known if _kind(item)[0] == _kind(char)[0])),
        ("all letters", lambda: (item for item in known if item.isalpha())),
    ]
    for reason, propose in rules:
        related = sorted({item for item in propose() if item in known and item != char})
        if related:
            return related, reason
    return sorted(known), "all characters"


def _other_case(char: str) -> str:
    other = char.swapcase()
    return other if len(other) == 1 else ""


def _letter_in_name(char: str) -> list[str]:
    """The simple letter that the Unicode name of a letter ends with, before WITH."""
    words = unicodedata.name(char, "").split(" WITH ")[0].split()
    if "LETTER" not in words[:-1]:
        return []
    try:
        return [unicodedata.lookup(" ".join([*words[: words.index("LETTER") + 1], words[-1]]))]
    except KeyError:
        return []


def _kind(char: str) -> tuple[str, str]:
    """General category, and the first word of the name, which is the script of letters."""
    return unicodedata.category(char), unicodedata.name(char, "").split(" ")[0]
