# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Preparation of source texts for a vocabulary."""

import pytest
from helpers import make_tiny_processor

from mu2slam_hf import Mu2SLAMTokenizer
from mu2slam_hf.data.text import find_unknown_characters, prepare_text


@pytest.fixture(scope="module")
def lower_case():
    return make_tiny_processor().tokenizer


@pytest.mark.parametrize(
    ("text", "normalize", "expected"),
    [
        ("Press ONE!", "auto", "press one"),
        ("press one", "auto", "press one"),
        ("Press ONE!", "never", "Press ONE!"),
        ("press-one", "always", "press one"),
        ("  pre\u0301ss\u200b \n one", "never", "pr\u00e9ss one"),
    ],
)
def test_normalisation_for_a_vocabulary(lower_case, text, normalize, expected):
    assert prepare_text(text, lower_case, normalize) == expected


def test_written_text_is_kept_where_the_vocabulary_has_it():
    written = Mu2SLAMTokenizer.train_from_iterator(["Press ONE!", "press one"], vocab_size=200, kind="char")
    assert prepare_text("Press ONE!", written) == "Press ONE!"


def test_unknown_characters(lower_case):
    assert find_unknown_characters("press X one Y X", lower_case) == ["X", "Y"]
    with pytest.raises(ValueError, match="auto, always, never, got 'sometimes'"):
        prepare_text("a", lower_case, "sometimes")
