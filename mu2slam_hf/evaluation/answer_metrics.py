# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""F1 and exact match of answers, as SQuAD 1.1 defines them and TyDiQA-GoldP uses them for all languages."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from mu2slam_hf.evaluation.bootstrap import Bootstrap
from mu2slam_hf.evaluation.metrics import MetricValue, add_interval

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case without ASCII punctuation and English articles, with single spaces.

    The definition is the same for every language: other punctuation is kept, and languages that are written without
    spaces have long words.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1 if both texts are equal after normalisation, else 0."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def token_f1(prediction: str, answer: str) -> float:
    """Harmonic mean of precision and recall of the words of a prediction; 0 without a common word."""
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(answer).split()
    common = sum((Counter(predicted) & Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def compute_answer_metrics(
    predictions: Sequence[str], answers: Sequence[Sequence[str]], *, bootstrap: Bootstrap | None = None
) -> dict[str, MetricValue]:
    """`f1` and `exact_match` in percent, a mean over questions; of several answers the best one counts.

    Args:
        predictions: one answer for each question.
        answers: the correct answers to each question, at least one.
        bootstrap: if given, both have 95 % confidence intervals over questions.

    Raises:
        ValueError: the lists differ in length or are empty, or a question has no answer.
    """
    if len(predictions) != len(answers) or not answers:
        raise ValueError(f"expected one prediction for each question, got {len(predictions)} and {len(answers)}")
    if not all(answers):
        raise ValueError("every question needs at least one answer to be scored")

    def mean(name: str, compare: Callable[[str, str], float]) -> MetricValue:
        best = [
            max(compare(text, answer) for answer in given) for text, given in zip(predictions, answers, strict=True)
        ]
        value = MetricValue(
            value=100.0 * sum(best) / len(best), signature=f"{name}|squad-1.1|best of answers", num_items=len(best)
        )
        if bootstrap is None:
            return value
        return add_interval(value, bootstrap.resample([[share] for share in best], lambda s: 100.0 * s[0] / len(best)))

    return {"f1": mean("f1", token_f1), "exact_match": mean("exact_match", exact_match)}
