# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A classifier that has only ever read text, put to recordings: what a shared space of speech and text is good for.

The head is linear and has a closed form (ridge regression on one-hot targets), so there is nothing to tune, to seed or
to wait for; the encoder stays as it is.

Shapes: n items, D width, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.evaluation.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.evaluation.representations import SpeechTextEncoder

RIDGES = tuple(10.0**exponent for exponent in range(-4, 4))
"""Strengths that are tried, relative to the mean variance of the vectors."""


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """Classes from vectors.

    Attributes:
        labels: the C classes, sorted.
        weight: `(D, C)` float64.
        bias: `(C,)` float64.
        ridge: strength that was chosen.
        leave_one_out: percent of the training items that are right when they are left out of the training.
    """

    labels: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    ridge: float
    leave_one_out: float

    def scores(self, vectors: Tensor) -> Tensor:
        """`(n, D)` -> `(n, C)` float64, higher is likelier; no probabilities."""
        return vectors.double() @ self.weight + self.bias

    def predict(self, vectors: Tensor) -> list[str]:
        """The likeliest class of each of `(n, D)`."""
        return [self.labels[place] for place in self.scores(vectors).argmax(dim=1).tolist()]


def fit_linear(vectors: Tensor, classes: Sequence[str], ridges: Sequence[float] = RIDGES) -> LinearClassifier:
    """Ridge regression on one-hot classes, in float64; the strength by leaving one out, which needs no second fit.

    Args:
        vectors: `(n, D)`.
        classes: the class of each.
        ridges: strengths to try, relative to the mean variance of the vectors; of equally good ones the strongest.

    Raises:
        ValueError: another number of classes than of vectors, fewer than two classes, NaN.

    Choice: every class weighs the same whatever its number of items, or rare ones would never be answered.
    """
    labels = tuple(sorted(set(classes)))
    if len(classes) != len(vectors):
        raise ValueError(f"{len(vectors)} vectors and {len(classes)} classes; they must be pairs")
    if len(labels) < 2:
        raise ValueError(f"a classifier needs two classes or more, got {list(labels)}")
    values = vectors.double()
    if not values.isfinite().all():
        raise ValueError("the vectors hold NaN or infinite values")
    places = torch.tensor([labels.index(one) for one in classes])
    targets = torch.nn.functional.one_hot(places, len(labels)).double()
    weights = 1.0 / targets.sum(dim=0)[places]
    weights = weights / weights.sum()
    # Weighted means are taken out first, so that the bias is not held back.
    mean, target_mean = weights @ values, weights @ targets
    roots = weights.sqrt()[:, None]
    left, singular, right = torch.linalg.svd(roots * (values - mean), full_matrices=False)
    centred = roots * (targets - target_mean)
    scale = singular.square().sum() / values.shape[1]
    best: LinearClassifier | None = None
    for ridge in sorted(ridges, reverse=True):
        shrunk = singular.square() / (singular.square() + ridge * scale)
        fitted = left @ (shrunk[:, None] * (left.T @ centred))
        # Influence of each item on its own answer: that of the slope, and that of the means.
        leverage = left.square() @ shrunk + weights
        residual = (centred - fitted) / (1.0 - leverage).clamp(min=1e-9)[:, None]
        answers = (targets - residual / roots).argmax(dim=1)
        accuracy = 100.0 * float((answers == places).double().mean())
        if best is None or accuracy > best.leave_one_out:
            inverse = singular / (singular.square() + ridge * scale).clamp(min=torch.finfo(torch.float64).tiny)
            weight = right.T @ (inverse[:, None] * (left.T @ centred))
            best = LinearClassifier(
                labels=labels,
                weight=weight,
                bias=target_mean - mean @ weight,
                ridge=ridge,
                leave_one_out=accuracy,
            )
    assert best is not None
    return best


@dataclass(frozen=True, kw_only=True)
class ZeroShotResult:
    """A head trained on text and what it makes of speech.

    Attributes:
        classifier: the head.
        predictions: class of each recording.
        confusion: against the true classes, where these were given.
    """

    classifier: LinearClassifier
    predictions: list[str]
    confusion: ConfusionMatrix | None


def classify_speech_by_text(
    model: Any,
    processor: Any,
    texts: Sequence[str],
    text_classes: Sequence[str],
    audio: Sequence[Any],
    audio_classes: Sequence[str] | None = None,
    *,
    layer: int | None = None,
    center: bool = True,
) -> ZeroShotResult:
    """Train a linear head on the vectors of texts, and apply it to recordings.

    Args:
        model: with a shared encoder; see `SpeechTextEncoder`. It is told no language.
        processor: its processor.
        texts: training texts.
        text_classes: the class of each, any words.
        audio: recordings, as `load_audio` takes them.
        audio_classes: their true classes, to count how often the answer is right; never used for training.
        layer: whose states are pooled.
        center: take the mean of the recordings' vectors off them, and that of the texts off theirs: it holds the
            difference between the modalities. The mean over recordings uses no class, but all recordings.

    Raises:
        ValueError: as `fit_linear`; a true class that no text has.
    """
    encoder = SpeechTextEncoder(model, processor, layer=layer)
    text, speech = encoder.encode_text(texts), encoder.encode_speech(audio)
    if center:
        text, speech = text - text.mean(dim=0), speech - speech.mean(dim=0)
    classifier = fit_linear(text, text_classes)
    predictions = classifier.predict(speech)
    confusion = None
    if audio_classes is not None:
        confusion = compute_confusion(audio_classes, predictions, labels=classifier.labels)
    return ZeroShotResult(classifier=classifier, predictions=predictions, confusion=confusion)
