# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The nearest-sentence baseline on cases that can be done by hand."""

import random

import pytest

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.scores.metrics import edit_distance
from mu2slam_hf.evaluation.tasks.baseline import NearestSentenceBaseline


def make_record(text, lang="en", **translations):
    return SpeechTextRecord(id=text or "none", text=text, lang=lang, audio="x.wav", translations=translations)


@pytest.fixture
def baseline():
    return NearestSentenceBaseline(
        [
            make_record("press one", fr="appuyez sur le un", es="oprima uno"),
            make_record("press two", fr="appuyez sur le deux"),
            make_record("goodbye", fr="au revoir"),
            make_record("goodbye", fr="salut"),
            make_record("au revoir", lang="fr", en="goodbye"),
            make_record(None),
        ]
    )


def test_takes_the_translation_of_the_nearest_source(baseline):
    found = baseline.translate(["press tow", "goodby", ""], "en", "fr")
    # Of two translations the first; all sentences are equally far from no text.
    assert found == ["appuyez sur le deux", "au revoir", "appuyez sur le un"]
    assert baseline.translate([], "en", "fr") == []


def test_looks_only_at_sentences_with_that_translation(baseline):
    assert baseline.translate(["press two"], "en", "es") == ["oprima uno"]


def test_distance_is_relative_to_length():
    # By plain edit distance "ab" (2 edits) would beat the long sentence (3 edits) that is nearly the same.
    long = "the number you have dialed"
    baseline = NearestSentenceBaseline([make_record("tn", fr="short"), make_record(long, fr="long")])
    assert baseline.translate(["the number you have"], "en", "fr") == ["long"]


@pytest.mark.parametrize("max_distances", [1, 70, 2**24])
def test_batches_do_not_change_the_answers(monkeypatch, max_distances):
    rng = random.Random(0)
    sources = ["".join(rng.choices("ab ", k=rng.randrange(1, 9))) for _ in range(30)]
    texts = ["".join(rng.choices("ab ", k=rng.randrange(1, 9))) for _ in range(20)]
    baseline = NearestSentenceBaseline([make_record(text, fr=str(place)) for place, text in enumerate(sources)])

    def distance(text, source):
        return edit_distance(text, source) / max(len(text), len(source))

    expected = [min(range(30), key=lambda place: distance(text, sources[place])) for text in texts]
    monkeypatch.setattr("mu2slam_hf.evaluation.tasks.baseline._MAX_DISTANCES", max_distances)
    assert baseline.translate(texts, "en", "fr") == [str(place) for place in expected]


def test_unknown_direction_lists_the_known_ones(baseline):
    assert baseline.directions == [("en", "es"), ("en", "fr"), ("fr", "en")]
    with pytest.raises(ValueError, match="no training pairs for fr-es; directions with pairs: en-es, en-fr, fr-en"):
        baseline.translate(["x"], "fr", "es")
