# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A baseline of question answering without training: the sentence of the passage that matches the question best."""

import re
from collections.abc import Sequence
from math import log

from mu2slam_hf.data.text import normalize_for_scoring

BEST_SENTENCE = "best sentence"
# Full stops of the scripts of TyDiQA: Latin, Devanagari and Bengali, Arabic, Chinese.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u0964\u06d4\u061f\u3002])\s*|\n+")
_GRAM = 4


def find_best_sentence(question: str, passage: str) -> str:
    """The sentence of a passage that shares most with a question.

    Sentences are compared by their runs of 4 characters, which needs no knowledge of the words of a language; each run
    counts by its rarity in the passage, and a sentence by the mean over the square root of its number of runs, so that
    long sentences are not preferred. The first of equally good sentences is returned.
    """
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(passage) if sentence.strip()]
    if not sentences:
        return passage.strip()
    grams = [_grams(sentence) for sentence in sentences]
    asked = _grams(question)
    scores = [_match(asked, own, grams) for own in grams]
    return sentences[scores.index(max(scores))]


def _match(asked: set[str], own: set[str], everything: Sequence[set[str]]) -> float:
    rarity = [log(1 + len(everything) / sum(gram in other for other in everything)) for gram in sorted(asked & own)]
    return sum(rarity) / max(1, len(own)) ** 0.5


def _grams(text: str) -> set[str]:
    padded = f" {normalize_for_scoring(text)} "
    return {padded[i : i + _GRAM] for i in range(max(1, len(padded) - _GRAM + 1))}
