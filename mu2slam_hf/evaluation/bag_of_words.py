# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A baseline of text classification: a linear classifier on the words of a text or a pair of texts.

Shapes: n texts, D features, C classes.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from mu2slam_hf.data.examples.example import Example
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.head_evaluation import accuracy_by_language
from mu2slam_hf.evaluation.zero_shot_classification import LinearClassifier, fit_linear

MAX_FEATURES = 2000
MAX_TEXTS = 5000

TextPair = tuple[str, str | None]


def score_bag_of_words(training: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """`accuracy_bag_of_words`, and by language with intervals, of a classifier of the training examples.

    Args:
        training: texts or pairs of texts, with one class each.
        test: likewise.
    """
    classifier = BagOfWordsClassifier(
        [_texts_of(example) for example in training], [example.targets[0].text for example in training]
    )
    truth = [example.targets[0].text for example in test]
    predictions = classifier.predict([_texts_of(example) for example in test])
    right = sum(a == b for a, b in zip(truth, predictions, strict=True))
    languages = [example.source_lang for example in test]
    by_language = accuracy_by_language(truth, predictions, languages, "_bag_of_words")
    return {"accuracy_bag_of_words": 100.0 * right / len(truth)} | by_language


def _texts_of(example: Example) -> TextPair:
    return example.source_text or "", example.second_text


class BagOfWordsClassifier:
    """A linear classifier in closed form (see `fit_linear`) on which words occur.

    Features are the most frequent words of the first text, of the second text, and of both; for pairs also the share
    of the words of the second text that the first one has.

    Args:
        texts: training texts, or pairs.
        classes: the class of each.

    Raises:
        ValueError: as `fit_linear`.

    Choice: at most 5,000 training texts and 2,000 words, evenly spaced and most frequent, because the closed form
    decomposes a dense matrix.
    """

    def __init__(self, texts: Sequence[TextPair], classes: Sequence[str]) -> None:
        chosen = spread_evenly(list(range(len(texts))), MAX_TEXTS)
        bags = [_bag(texts[place]) for place in chosen]
        counts = Counter(word for bag in bags for word in bag)
        self.words = {word: column for column, (word, _) in enumerate(counts.most_common(MAX_FEATURES))}
        self.classifier: LinearClassifier = fit_linear(self._vectors(bags), [classes[place] for place in chosen])

    def predict(self, texts: Sequence[TextPair]) -> list[str]:
        """The class of each text."""
        return self.classifier.predict(self._vectors([_bag(text) for text in texts]))

    def _vectors(self, bags: Sequence[dict[str, float]]) -> Tensor:
        """`(n, D)` float32."""
        vectors = torch.zeros(len(bags), len(self.words))
        for row, bag in enumerate(bags):
            for word, value in bag.items():
                if word in self.words:
                    vectors[row, self.words[word]] = value
        return vectors


def _bag(text: TextPair) -> dict[str, float]:
    first = set(normalize_for_scoring(text[0]).split())
    bag = {f"1:{word}": 1.0 for word in first}
    if text[1] is not None:
        second = set(normalize_for_scoring(text[1]).split())
        bag |= {f"2:{word}": 1.0 for word in second} | {f"both:{word}": 1.0 for word in first & second}
        bag["shared"] = len(first & second) / max(1, len(second))
    return bag
