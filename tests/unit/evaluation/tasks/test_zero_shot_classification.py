# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A linear head in closed form against plain solvers, and heads trained on text that hear real recordings."""

import pytest
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf import load_default, read_manifest
from mu2slam_hf.evaluation.tasks.zero_shot_classification import classify_speech_by_text, fit_linear

RECORDS = read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv")


def clouds(sizes, spread=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn(len(sizes), 6, generator=generator)
    vectors = torch.cat(
        [m + spread * torch.randn(n, 6, generator=generator) for m, n in zip(means, sizes, strict=True)]
    )
    return vectors, [name for name, n in zip("abcd", sizes, strict=False) for _ in range(n)]


def weighted_ridge(vectors, classes, labels, ridge):
    """Normal equations with a column of ones that is not held back."""
    values = torch.cat([vectors.double(), torch.ones(len(vectors), 1).double()], dim=1)
    targets = torch.tensor([[float(one == label) for label in labels] for one in classes]).double()
    weights = torch.tensor([1 / classes.count(one) for one in classes]).double()
    weights /= weights.sum()
    centred = vectors.double() - weights @ vectors.double()
    scale = (weights[:, None] * centred.square()).sum() / vectors.shape[1]
    penalty = torch.diag(torch.tensor([ridge * float(scale)] * vectors.shape[1] + [0.0]).double())
    return torch.linalg.solve(
        values.T @ (weights[:, None] * values) + penalty, values.T @ (weights[:, None] * targets)
    )


@pytest.mark.parametrize("ridge", [1e-3, 1.0, 100.0])
def test_closed_form_is_the_weighted_ridge_solution(ridge):
    vectors, classes = clouds([9, 4, 6], spread=3.0)
    found = fit_linear(vectors, classes, [ridge])
    expected = weighted_ridge(vectors, classes, "abc", ridge)
    torch.testing.assert_close(found.weight, expected[:-1])
    torch.testing.assert_close(found.bias, expected[-1])
    assert found.labels == ("a", "b", "c") and found.ridge == ridge


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_leaving_one_out_needs_no_second_fit(ridge):
    """With classes of equal size, where leaving one out changes the weights of the others little; by refitting."""
    vectors, classes = clouds([12, 12, 12], spread=2.5, seed=3)
    right = 0
    for place in range(len(classes)):
        kept = [i for i in range(len(classes)) if i != place]
        head = fit_linear(vectors[kept], [classes[i] for i in kept], [ridge])
        right += head.predict(vectors[place : place + 1]) == [classes[place]]
    found = fit_linear(vectors, classes, [ridge]).leave_one_out
    assert found == pytest.approx(100 * right / len(classes), abs=6)


def test_rare_classes_are_answered_and_more_dimensions_than_items_are_no_harm():
    vectors, classes = clouds([40, 2], spread=0.3)
    head = fit_linear(vectors, classes)
    assert head.predict(vectors) == classes and head.leave_one_out == 100.0
    wide = torch.cat([vectors[-4:], torch.zeros(4, 50)], dim=1)
    assert fit_linear(wide, classes[-4:]).predict(wide) == classes[-4:]


def test_what_cannot_be_fitted_is_refused():
    vectors, classes = clouds([3, 3])
    with pytest.raises(ValueError, match="one class for each vector"):
        fit_linear(vectors, classes[:-1])
    with pytest.raises(ValueError, match="at least two classes"):
        fit_linear(vectors[:3], classes[:3])
    with pytest.raises(ValueError, match="NaN"):
        fit_linear(vectors / 0, classes)


def test_a_head_trained_on_text_tells_the_languages_of_real_recordings():
    """The texts are translations of what is said, so none of the recordings' own languages pairs with its text."""
    texts = [
        (text, lang) for record in RECORDS for lang, text in {**record.translations, record.lang: record.text}.items()
    ]
    texts = list(dict.fromkeys(texts))
    spoken = [record.lang for record in RECORDS]
    model, processor = load_default()
    result = classify_speech_by_text(
        model, processor, *zip(*texts, strict=True), [record.audio for record in RECORDS], spoken
    )
    assert result.confusion is not None and result.confusion.num_items == 8
    assert result.confusion.accuracy >= 75.0  # chance: 20
    assert result.classifier.leave_one_out > 50.0


def test_classes_are_any_words_and_need_no_true_ones():
    texts = ["press one", "press two", "your message is too short", "leave a message"]
    result = classify_speech_by_text(
        *make_tiny_pair(), texts, ["keys", "keys", "mail", "mail"], [RECORDS[0].audio], center=False
    )
    assert result.confusion is None and result.predictions[0] in ("keys", "mail")
    with pytest.raises(ValueError, match="not in the labels"):
        classify_speech_by_text(*make_tiny_pair(), texts, list("aabb"), [RECORDS[0].audio], ["c"])
