# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Characters that may be mistakes are named; the usual ones are not."""

import pytest

from mu2slam_hf.adaptation.reading.text_files import TextCleaner
from mu2slam_hf.adaptation.report.characters import compute_inventory, script_of


def doubts(*texts):
    inventory = compute_inventory("mdw", list(enumerate(texts)))
    return {one.char: one.doubts for one in inventory.characters if one.doubts}


def test_counts_examples_and_vocabulary():
    inventory = compute_inventory("mdw", [("k1", "ba ba"), ("k2", "ab.")], is_known=lambda char: char != ".")
    found = {one.char: one for one in inventory.characters}
    assert (found["a"].count, found["a"].num_texts, found["a"].example) == (3, 2, "k1")
    assert found["."].name == "U+002E FULL STOP" and found["."].in_vocabulary is False
    assert [one.char for one in inventory.characters] == ["a", "b", "."]
    assert inventory.scripts == {"LATIN": 6}


def test_an_orthography_of_two_scripts_is_no_mistake():
    texts = ["ngá mwε móoyεlε", "tsέsi ωlω"]
    inventory = compute_inventory("mdw", list(enumerate(texts)))
    assert doubts(*texts) == {}
    assert set(inventory.scripts) == {"LATIN", "GREEK"} and inventory.num_mixed_words == 4
    assert "mwε" in inventory.mixed_words


def test_letters_that_look_alike():
    found = doubts("mwε lε", "mwɛ", "bana \u0430")
    assert "looks like ε (U+03B5 GREEK SMALL LETTER EPSILON), which occurs 2 times" in found["ɛ"]
    assert "ε" not in found
    assert any("U+0061 LATIN SMALL LETTER A" in doubt for doubt in found["\u0430"])


def test_romanian_letters_with_a_cedilla_look_like_those_with_a_comma():
    found = doubts("și țară Și Țara și țara Și Țări", "\u015fi \u0163ar\u0103 \u015ei \u0162ara")
    assert set(found) == set("\u015f\u0163\u015e\u0162")
    assert found["\u015f"] == ("looks like ș (U+0219 LATIN SMALL LETTER S WITH COMMA BELOW), which occurs 2 times",)


def test_apostrophes_of_one_language_should_be_one():
    found = doubts("l'a d'a", "s\u2019a")
    assert list(found) == ["\u2019"]


def test_a_rare_letter_and_a_rare_script_are_named_in_long_texts():
    common = ["mwana bana " * 300]
    assert doubts(*common, "ŵ") == {"ŵ": ("occurs only once",)}
    assert doubts("mwana", "ŵ") == {}
    assert "a Cyrillic letter among Latin ones" in doubts(*common, "ж")["ж"]
    assert doubts(*common, "B") == {}


def test_characters_that_are_not_visible_or_lost():
    assert doubts("a\u200db")["\u200d"] == ("is not visible",)
    assert "was lost" in doubts("m\ufffdsi")["\ufffd"][0]


@pytest.mark.parametrize(("char", "script"), [("a", "LATIN"), ("ж", "CYRILLIC"), ("́", None), ("1", None), ("ʼ", None)])
def test_scripts(char, script):
    assert script_of(char) == script


def test_cleaning_counts_what_it_removes():
    cleaner = TextCleaner()
    assert cleaner.clean(" m\u00adwa\u200bna\x07 ", "a.txt") == "mwana"
    assert cleaner.clean("e\u0301", "b.txt") == "é"
    assert cleaner.clean(None, "c.txt") is None and cleaner.clean(" \ufeff ", "d.txt") is None
    assert cleaner.removed == {"\u00ad": 1, "\u200b": 1, "\x07": 1, "\ufeff": 1}
    assert (cleaner.num_decomposed, cleaner.num_texts, cleaner.places["\ufeff"]) == (1, 3, "d.txt")
