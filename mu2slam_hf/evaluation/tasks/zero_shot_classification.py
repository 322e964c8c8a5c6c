# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Zero-shot classification of recordings by a classifier that is trained on text only, in a shared space.

The head is linear with a closed-form solution (ridge regression on one-hot targets), so it requires neither tuning nor
a seed; the encoder is not changed.

Shapes: n items, D width, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.evaluation.scores.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.inference.representations import SpeechTextEncoder

RIDGES = tuple(10.0**exponent for exponent in range(-4, 4))
"""Candidate strengths, relative to the mean variance of the vectors."""


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """A linear classifier of vectors.

    Attributes:
        labels: the C classes, sorted.
        weight: `(D, C)` float64.
        bias: `(C,)` float64.
        ridge: selected strength.
        leave_one_out: accuracy on the training items in percent, each predicted without itself.
    """

    labels: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    ridge: float
    leave_one_out: float

    def scores(self, vectors: Tensor) -> Tensor:
        """Scores `(n, C)` float64 of vectors `(n, D)`, higher is better; not probabilities."""
        return vectors.double() @ self.weight + self.bias

    def predict(self, vectors: Tensor) -> list[str]:
        """The class with the highest score for each of `(n, D)`."""
        return [self.labels[place] for place in self.scores(vectors).argmax(dim=1).tolist()]


def fit_linear(vectors: Tensor, classes: Sequence[str], ridges: Sequence[float] = RIDGES) -> LinearClassifier:
    """Ridge regression on one-hot classes, in float64; selects the strength by leave-one-out accuracy.

    Args:
        vectors: `(n, D)`.
        classes: the class of each.
        ridges: candidate strengths, relative to the mean variance of the vectors; the strongest of equally good ones
            is selected.

    Raises:
        ValueError: numbers of vectors and classes differ, there are fewer than two classes, or values are not finite.

    Choice: all classes have the same weight regardless of their number of items, or rare ones would never be
    predicted.
    """
    labels = tuple(sorted(set(classes)))
    if len(classes) != len(vectors):
        raise ValueError(f"expected one class for each vector, got {len(vectors)} vectors and {len(classes)} classes")
    if len(labels) < 2:
        raise ValueError(f"a classifier requires at least two classes, got {list(labels)}")
    values = vectors.double()
    if not values.isfinite().all():
        raise ValueError("the vectors contain NaN or infinite values")
    indices = torch.tensor([labels.index(item) for item in classes])
    targets = torch.nn.functional.one_hot(indices, len(labels)).double()
    weights = 1.0 / targets.sum(dim=0)[indices]
    weights = weights / weights.sum()
    # Weighted means are subtracted first, so that the bias is not regularised.
    mean, target_mean = weights @ values, weights @ targets
    roots = weights.sqrt()[:, None]
    left, singular, right = torch.linalg.svd(roots * (values - mean), full_matrices=False)
    centred = roots * (targets - target_mean)
    scale = singular.square().sum() / values.shape[1]
    best: LinearClassifier | None = None
    for ridge in sorted(ridges, reverse=True):
        shrunk = singular.square() / (singular.square() + ridge * scale)
        fitted = left @ (shrunk[:, None] * (left.T @ centred))
        # Influence of each item on its own prediction: through the slope, and through the means.
        leverage = left.square() @ shrunk + weights
        residual = (centred - fitted) / (1.0 - leverage).clamp(min=1e-9)[:, None]
        answers = (targets - residual / roots).argmax(dim=1)
        accuracy = 100.0 * float((answers == indices).double().mean())
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
    """A head trained on text, and its predictions for speech.

    Attributes:
        classifier: the trained head.
        predictions: predicted class of each recording.
        confusion: confusion matrix, if the true classes are given.
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
    """Train a linear head on vectors of texts, and apply it to recordings.

    Args:
        model: model with a shared encoder, see `SpeechTextEncoder`; it receives no language.
        processor: its processor.
        texts: training texts.
        text_classes: the class of each text, arbitrary names.
        audio: recordings, in any form that `load_audio` accepts.
        audio_classes: their true classes, for evaluation only.
        layer: the layer whose states are pooled.
        center: whether to subtract the mean vector of each modality, which contains the difference between the
            modalities. The mean over recordings uses all recordings, but no classes.

    Raises:
        ValueError: as in `fit_linear`, or a true class has no text.
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
