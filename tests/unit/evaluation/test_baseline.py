# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The nearest-sentence baseline on cases that can be done by hand."""

import pytest

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.baseline import NearestSentenceBaseline


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
    assert baseline.translate("press tow", "en", "fr") == "appuyez sur le deux"
    assert baseline.translate("goodby", "en", "fr") == "au revoir"  # of two translations the first
    assert baseline.translate("", "en", "fr") in {"appuyez sur le un", "appuyez sur le deux", "au revoir"}


def test_looks_only_at_sentences_with_that_translation(baseline):
    assert baseline.translate("press two", "en", "es") == "oprima uno"


def test_distance_is_relative_to_length():
    # By plain edit distance "ab" (2 edits) would beat the long sentence (3 edits) that is nearly the same.
    long = "the number you have dialed"
    baseline = NearestSentenceBaseline([make_record("tn", fr="short"), make_record(long, fr="long")])
    assert baseline.translate("the number you have", "en", "fr") == "long"


def test_unknown_direction_lists_the_known_ones(baseline):
    assert baseline.directions == [("en", "es"), ("en", "fr"), ("fr", "en")]
    with pytest.raises(ValueError, match="no training pairs for fr-es; directions with pairs: en-es, en-fr, fr-en"):
        baseline.translate("x", "fr", "es")
