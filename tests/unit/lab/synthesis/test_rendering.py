# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import re
import subprocess
import sys
import unicodedata
from datetime import date

import pytest
from helpers import REPOSITORY_ROOT

from lab.synthesis.content import Content, content
from lab.synthesis.rendering import RenderingError, render

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


FIVE = ("en", "es", "fr", "it", "ru")
DAY = date(1976, 1, 12).toordinal()


SAME_TEXTS = [
    ("quantity", (5, "duration-day"), "5 days | 5 días | 5 jours | 5 giorni | 5 дней"),
    (
        "date",
        (DAY,),
        "Monday, January 12, 1976 | lunes, 12 de enero de 1976 | lundi 12 janvier 1976 | lunedì 12 gennaio 1976 | "
        "понедельник, 12 января 1976 г.",
    ),
    ("weekday", (0,), "Monday | lunes | lundi | lunedì | понедельник"),
    (
        "listing",
        ("and", "territory", "ES", "IT"),
        "Spain and Italy | España e Italia | Espagne et Italie | Spagna e Italia | Испания и Италия",
    ),
    ("relative", (-4, "day"), "4 days ago | hace 4 días | il y a 4 jours | 4 giorni fa | 4 дня назад"),
]
SAME_SPEECH = [
    (
        "quantity",
        (23, "length-kilometer"),
        "twenty three kilometers | veintitrés kilómetros | vingt trois kilomètres | ventitré chilometri | "
        "двадцать три километра",
    ),
    (
        "date",
        (DAY,),
        "monday january twelfth nineteen seventy six | lunes doce de enero de mil novecientos setenta y seis | "
        "lundi douze janvier mille neuf cent soixante seize | lunedì dodici gennaio millenovecentosettantasei | "
        "понедельник двенадцатое января тысяча девятьсот семьдесят шестого года",
    ),
    (
        "time",
        (7 * 60 + 17,),
        "seven seventeen | siete y diecisiete | sept heures dix sept | sette e diciassette | "
        "семь часов семнадцать минут",
    ),
]


@pytest.mark.parametrize(
    "form, kind, values, texts",
    [*(("written", *one) for one in SAME_TEXTS), *(("spoken", *one) for one in SAME_SPEECH)],
)
def test_known_texts(form, kind, values, texts):
    assert " | ".join(render(Content(kind, values), lang, form) for lang in FIVE) == texts


def test_spoken_texts_are_plain_lower_case_words():
    for index in range(300):
        meaning = content(0, index)
        for lang in FIVE:
            text = render(meaning, lang, "spoken")
            assert text == text.lower() and " ".join(text.split()) == text
            assert all(unicodedata.category(char)[0] in "LMZ" or char == "'" for char in text), (meaning, text)


def test_no_invisible_characters_in_right_to_left_and_other_scripts():
    for lang in ("ar", "he", "fa", "ur", "hi", "th"):
        for index in range(60):
            try:
                text = render(content(1, index), lang)
            except RenderingError:
                continue
            assert not re.search("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", text)


def test_train_and_dev_share_no_text_of_more_than_names():
    texts = {
        split: {render(content(0, i, split=split), lang, "spoken") for i in range(300) for lang in FIVE}
        for split in ("train", "dev")
    }
    # Two meanings may have one name (a territory and a language); everything longer differs.
    assert all(len(text.split()) < 3 for text in texts["train"] & texts["dev"])


def test_text_does_not_depend_on_the_languages_rendered_before():
    # Babel shares what it resolves: after Azerbaijani, its own API gives Malayalam the month "yanvar".
    code = (
        "from lab.synthesis.content import content\n"
        "from lab.synthesis.rendering import render\n"
        "for lang in ('az', 'en', 'ml'):\n"
        "    print(ascii([render(content(2, i, kinds=['month', 'weekday', 'duration']), lang) for i in range(8)]))"
    )
    others = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    for lang, other in zip(("ml", "en", "az"), (others[2], others[1], others[0]), strict=True):
        assert other == ascii([render(content(2, i, kinds=["month", "weekday", "duration"]), lang) for i in range(8)])


def test_entries_that_cldr_lacks_are_refused_not_faked():
    with pytest.raises(RenderingError, match="no entry in 'io' for"):
        render(Content("weekday", (0,)), "io")
    with pytest.raises(RenderingError, match="num2words does not support"):
        render(Content("cardinal", (7,)), "kok")
    with pytest.raises(RenderingError, match="do not include the language 'xx'"):
        render(Content("time", (500,)), "xx")


def test_rounding_that_changes_the_number_is_refused():
    with pytest.raises(RenderingError, match="without rounding"):
        render(Content("compact", (166, 9)), "hi")


def test_unknown_form():
    with pytest.raises(ValueError, match="'written' or 'spoken', got 'sung'"):
        render(Content("time", (500,)), "en", "sung")
