# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest

from lab.synthesis.voice_alphabets import ALPHABETS, spoken_text


@pytest.mark.parametrize(
    ("lang", "text", "spoken"),
    [
        ("en", "It\u2019s a café \u2014 the (best) one!", "It's a cafe the best one!"),
        ("en", "cafe\u0301", "cafe"),
        ("it", "perché l'àncora", "perché l'àncora"),
        ("it", "déjà vu, mañana", "déjà vu, manana"),
        ("it", "wi-fi", "wi fi"),
        ("ru", "Ёлка \u00ab20\u00bb", "Ёлка 20"),
        # Words that cannot be read in this alphabet make the whole text unusable.
        ("ru", "включи Wi-Fi", ""),
        ("en", "привет", ""),
        ("it", "50%", ""),
        ("en", "... \u2014 !", ""),
        ("en", "", ""),
    ],
)
def test_spoken_text(lang, text, spoken):
    assert spoken_text(text, lang) == spoken


def test_what_remains_is_in_the_alphabet_and_cannot_end_a_string_of_the_program():
    for lang, alphabet in ALPHABETS.items():
        assert not set('"\\\n\t') & set(alphabet)
        every_character = "".join(map(chr, range(32, 0x500)))
        for character in every_character:
            assert set(spoken_text(f"{alphabet[0]}{character}", lang).lower()) <= set(alphabet)
