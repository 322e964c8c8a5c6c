# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import unicodedata

import pytest

from mu2slam_hf.data.text import clean_text, has_spaces, join_texts, normalize_for_scoring


def test_clean_text_changes_nothing_visible():
    decomposed = unicodedata.normalize("NFD", "\u200f h\u00e9\u00ad \t\n \ufeffto ")
    assert clean_text(decomposed) == "h\u00e9 to"
    assert clean_text("\u0645\u06cc\u200c\u0631\u0648\u0645") == "\u0645\u06cc\u200c\u0631\u0648\u0645"
    assert clean_text(clean_text(decomposed)) == clean_text(decomposed)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Press 1, then \u2014 the #-key!", "press 1 then the key"),
        ("L\u2019\u00c9cole, aujourd'hui", "l'\u00e9cole aujourd'hui"),
        ("'quoted' text'", "quoted text"),
        ("rock 'n' roll's a''b c_'d", "rock n roll's a b c d"),
        ("\u00bfQu\u00e9?", "qu\u00e9"),
        ("5 \u20ac + tax", "5 \u20ac + tax"),
        ("\uff11\uff12", "12"),
        ("...", ""),
    ],
)
def test_scoring_normalisation(text, wanted):
    assert normalize_for_scoring(text) == wanted
    assert normalize_for_scoring(wanted) == wanted


def test_combining_vowel_signs_stay():
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940"
    assert normalize_for_scoring(hindi) == hindi


def test_joining():
    assert join_texts(["a", "b"], "en") == "a b"
    assert join_texts(["\u4e00", "\u4e8c"], "zh-Hans") == "\u4e00\u4e8c"
    assert not has_spaces("ja") and has_spaces("vi")
