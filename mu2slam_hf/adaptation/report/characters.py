# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Characters of texts: how often each occurs, and which may be mistakes."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mu2slam_hf.growth.characters import describe_character
from mu2slam_hf.growth.scripts import script_of

# Characters that look alike: apostrophes, hyphens, letters of several scripts and of the IPA, and the letters of
# Romanian with a comma or, by mistake, with a cedilla.
_LOOK_ALIKE = (
    "'\u2019\u02bc\u2018\u02bb`\u00b4\ua78c\u2032\u02c8",
    "-\u2010\u2011\u2212",
    *("a\u0430", "c\u0441", "e\u0435", "g\u0261", "i\u0456", "j\u0458", "o\u043e\u03bf", "p\u0440\u03c1", "s\u0455"),
    *("x\u0445\u03c7\uab53", "y\u0443", "h\u04bb", "\u0251\u03b1", "\u03b2\ua7b5\u00df", "\u0263\u03b3"),
    *("\u025b\u03b5\u0454", "\u0254\u037b\u2184", "\u0259\u01dd\u04d9", "\u0269\u03b9\u0131", "\u028b\u03c5"),
    *("\u03c9\u0277\u0461", "\u0278\u03c6\u0444", "\u03b8\u0275\u04e9", "\u0294\u0241\u0242"),
    *("\u0219\u015f", "\u021b\u0163", "\u0218\u015e", "\u021a\u0162"),
)
# A letter this rare may be a typing error, in texts of at least this many letters.
_RARE_COUNT = 2
_MIN_LETTERS = 2000
_MINOR_SCRIPT_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class CharacterCount:
    """A character of the texts in one language.

    Attributes:
        char: the character.
        name: its Unicode name, with its number.
        count: number of occurrences.
        num_texts: number of texts that have it.
        example: key of the first record that has it.
        in_vocabulary: whether the checkpoint's tokenizer has it; None without a tokenizer.
        doubts: why it may be a mistake; empty for most.
    """

    char: str
    name: str
    count: int
    num_texts: int
    example: str
    in_vocabulary: bool | None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CharacterInventory:
    """Characters of the texts in one language.

    Attributes:
        lang: language.
        characters: most frequent first, without white space.
        scripts: script of letters -> number of letters.
        num_mixed_words: number of words with letters of several scripts.
        mixed_words: the most frequent of them.
    """

    lang: str
    characters: tuple[CharacterCount, ...]
    scripts: dict[str, int]
    num_mixed_words: int
    mixed_words: tuple[str, ...]


def compute_inventory(
    lang: str, texts: Iterable[tuple[str, str]], is_known: Callable[[str], bool] | None = None
) -> CharacterInventory:
    """Count the characters of texts.

    Args:
        lang: language of the texts.
        texts: (key of the record, text).
        is_known: whether the tokenizer has a character; None if there is none.
    """
    counts: Counter[str] = Counter()
    num_texts: Counter[str] = Counter()
    words: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for key, text in texts:
        own = Counter(char for char in text if not char.isspace())
        counts.update(own)
        num_texts.update(own.keys())
        words.update(re.findall(r"\w+", text))
        for char in own:
            examples.setdefault(char, key)
    scripts: Counter[str] = Counter()
    for char, count in counts.items():
        if (script := script_of(char)) is not None:
            scripts[script] += count
    mixed = Counter({word: count for word, count in words.items() if len(set(map(script_of, word)) - {None}) > 1})
    characters = tuple(
        CharacterCount(
            char=char,
            name=describe_character(char),
            count=count,
            num_texts=num_texts[char],
            example=examples[char],
            in_vocabulary=None if is_known is None else is_known(char),
            doubts=tuple(_doubts(char, counts, scripts)),
        )
        for char, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return CharacterInventory(
        lang=lang,
        characters=characters,
        scripts=dict(scripts.most_common()),
        num_mixed_words=sum(mixed.values()),
        mixed_words=tuple(word for word, _ in mixed.most_common(10)),
    )


def _doubts(char: str, counts: Counter[str], scripts: Counter[str]) -> Iterable[str]:
    """Reasons why a character may be a mistake."""
    script = script_of(char)
    num_letters = sum(scripts.values())
    if script is not None and scripts[script] < _MINOR_SCRIPT_SHARE * num_letters:
        yield f"a {script.title()} letter among {scripts.most_common(1)[0][0].title()} ones"
    for group in _LOOK_ALIKE:
        if char in group:
            alike = max((other for other in group if other != char), key=lambda other: counts[other])
            if counts[alike] > counts[char] or (counts[alike] == counts[char] > 0 and alike < char):
                yield f"looks like {alike} ({describe_character(alike)}), which occurs {counts[alike]} times"
    # Capitals are rare by themselves.
    is_letter = unicodedata.category(char)[0] in "LM" and counts[char.lower()] <= _RARE_COUNT
    if is_letter and counts[char] <= _RARE_COUNT and num_letters >= _MIN_LETTERS:
        yield f"occurs only {'once' if counts[char] == 1 else 'twice'}"
    if unicodedata.category(char) in ("Cf", "Co", "Cn") or char == "\ufffd":
        yield "is not visible" if unicodedata.category(char) == "Cf" else "stands for a character that was lost"


def known_characters(tokenizer: Any) -> Callable[[str], bool]:
    """Whether a tokenizer has a character, for `compute_inventory`."""
    from mu2slam_hf.data.text import find_unknown_characters

    return lambda char: not find_unknown_characters(char, tokenizer)
