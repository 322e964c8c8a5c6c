# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scripts of languages, and languages that do not write the script of another one."""

import unicodedata

import pytest
import torch
from helpers import REPOSITORY_ROOT

from mu2slam_hf import TranscriptionOptions, add_language, load_default, transcribe_recordings
from mu2slam_hf.growth.scripts import (
    _LANGUAGES_BY_SCRIPT,
    MAX_TOKENS,
    find_scripts,
    restrict_scripts,
    script_of,
    writes_script,
)
from mu2slam_hf.models.generation_tokens import excluded_tokens
from mu2slam_hf.models.language_codes import LANGUAGE_NAMES

BULGARIAN = ["не бива да забравяме къде сме били вчера", "шофьорът чака пред жълтата къща"]


def test_scripts_of_letters():
    assert [script_of(char) for char in "aжλ漢カ1.́"] == ["LATIN", "CYRILLIC", "GREEK", "CJK", "KATAKANA", *[None] * 3]
    assert find_scripts("kamɛlɔβa") == {"LATIN"}  # one Greek letter of an orthography in Latin letters
    assert find_scripts("".join(BULGARIAN) + "mp3") == {"CYRILLIC"} and find_scripts("12 ?") == set()


def test_every_language_has_letters_in_its_script():
    letters = {script_of(chr(point)) for point in range(0x20000) if unicodedata.category(chr(point))[0] == "L"}
    assert set(_LANGUAGES_BY_SCRIPT) <= letters
    assert {code for codes in _LANGUAGES_BY_SCRIPT.values() for code in codes.split()} <= set(LANGUAGE_NAMES)


@pytest.mark.parametrize(
    ("code", "script", "expected"),
    [
        *[("ru", "CYRILLIC", True), ("es", "CYRILLIC", False), ("es", "LATIN", True), ("ru", "LATIN", True)],
        *[("sr", "CYRILLIC", True), ("sr-Latn", "CYRILLIC", False), ("pt-BR", "GREEK", False), ("ja", "CJK", True)],
        *[("und", "CYRILLIC", True), ("qaa-x-own", "CYRILLIC", True)],
    ],
)
def test_languages_with_a_script(code, script, expected):
    assert writes_script(code, script) is expected


def test_tokens_of_a_script_are_those_of_its_languages():
    vocabulary = {"a": 10, "ж": 11, "▁жа": 12, "aж": 13, "1": 14, "λ": 15, "ъ": 16}
    languages = ["und", "es", "ru", "bg", "mdw"]
    tokens = restrict_scripts({"bg": [16]}, "bg", "".join(BULGARIAN), languages, vocabulary)
    # A token with two scripts stays with everybody; what was added for one language stays its own.
    assert tokens == {"und": [11, 12], "ru": [11, 12], "bg": [11, 12, 16]}
    assert restrict_scripts({}, "fr", "abc", languages, vocabulary) == {}
    many = {f"▁{chr(0x400 + number % 60)}{chr(0x430 + number // 60)}": number for number in range(MAX_TOKENS + 1)}
    assert restrict_scripts({}, "bg", "".join(BULGARIAN), languages, many) == {}


def test_a_language_in_cyrillic_keeps_cyrillic_out_of_spanish():
    """The checkpoint has Russian; whatever the weights become, Spanish cannot be written in its letters."""
    model, processor = load_default()
    add_language(model, processor, "bg", characters=BULGARIAN)
    config, vocabulary = model.config, processor.tokenizer.get_vocab()
    cyrillic = [row for token, row in vocabulary.items() if script_of(token.strip("▁")[:1] or " ") == "CYRILLIC"]
    rows = torch.tensor([config.languages.index(code) for code in ("es", "ru", "bg", "und")])
    excluded = excluded_tokens(config, rows)[:, cyrillic]
    assert len(cyrillic) > 30 and excluded[0].all() and not excluded[2:].all(dim=1).any()
    assert excluded[1].sum() == 0
    # With weights that prefer Cyrillic letters to all others, Russian has only these, and Spanish none.
    with torch.no_grad():
        model.lm_head.bias[cyrillic] += 1000.0
    recording = str(REPOSITORY_ROOT / "examples" / "es" / "vm-tooshort.opus")
    for code, scripts in (("ru", {"CYRILLIC"}), ("es", {"LATIN"})):
        options = TranscriptionOptions(source_lang=code, generate_kwargs={"max_new_tokens": 8, "ctc_weight": 0.0})
        (transcript,) = transcribe_recordings(model, processor, [recording], options)
        assert {script_of(char) for char in transcript.text} - {None} == scripts
