# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Our tables against the langcodes library, and the errors a person meets."""

import pytest
from paper_languages import (
    BABEL_CODES,
    FLEURS_LANGUAGES,
    MC4_LANGUAGES,
    MLS_CODES,
    PAPER_LANGUAGES,
    SPEECH_LANGUAGES,
)

from mu2slam_hf.models import language_codes
from mu2slam_hf.models.language_codes import (
    FLEURS_CODES,
    LANGUAGE_NAMES,
    MC4_CODES,
    UNDETERMINED,
    canonical_language,
    language_index,
    same_language,
)

OTHER_CODES = (
    "pt_BR pt_PT en_US EN Fr zho_Hans zho_Hant zh-TW zh-HK sr-Latn sr_Cyrl_RS sh mo tl iw in ji jw prs arb arz ary "
    "swh cmn yue pes npi ory khk ekk lvs azj uzn plt ydd als zsm gaz kmr mdw myv vec es-419 de-DE-1996 fy-NL "
    "rm-vallader eng fra fre deu ger zho chi ces cze nld dut ell gre en_UK uz_Latn"
).split()


@pytest.mark.parametrize("code", sorted({*MC4_CODES, *FLEURS_CODES, *SPEECH_LANGUAGES, *OTHER_CODES}))
def test_canonical_codes_agree_with_langcodes(code):
    langcodes = pytest.importorskip("langcodes", reason="langcodes is not installed")
    ours = canonical_language(code)
    theirs = langcodes.standardize_tag(code, macro=True)
    if code in ("cmn_hans_cn", "yue_hant_hk"):  # we leave out the script and region that the language implies
        ours, theirs = (langcodes.Language.get(tag).maximize().to_tag() for tag in (ours, theirs))
    assert ours == theirs


def test_alpha3_table_agrees_with_langcodes():
    langcodes = pytest.importorskip("langcodes", reason="langcodes is not installed")
    for code in language_codes._LANGUAGES:
        assert canonical_language(code) == langcodes.standardize_tag(code, macro=True), code


def test_names_agree_with_langcodes():
    langcodes = pytest.importorskip("langcodes", reason="langcodes is not installed")
    for code, name in LANGUAGE_NAMES.items():
        if code != UNDETERMINED:
            assert langcodes.tag_is_valid(code), code
        assert canonical_language(code) == code
        assert canonical_language(name.upper()) == code


def test_lists():
    assert len(MC4_LANGUAGES) == 101 and len(FLEURS_LANGUAGES) == 102
    assert len(language_codes.VOXPOPULI_CODES) == 23 and len(MLS_CODES) == 8
    assert len(BABEL_CODES) == 17 and len(language_codes.COMMON_VOICE_CODES) == 22
    assert PAPER_LANGUAGES[0] == UNDETERMINED and len(set(PAPER_LANGUAGES)) == len(PAPER_LANGUAGES)
    assert set(PAPER_LANGUAGES[1:]) == {*MC4_LANGUAGES, *FLEURS_LANGUAGES, *SPEECH_LANGUAGES}
    for code in (*MC4_CODES, *FLEURS_CODES):
        assert language_index(code, PAPER_LANGUAGES) > 0
    assert all(code in LANGUAGE_NAMES for code in PAPER_LANGUAGES)


def test_canonical_is_idempotent():
    for code in (*MC4_CODES, *FLEURS_CODES, *OTHER_CODES):
        assert canonical_language(canonical_language(code)) == canonical_language(code)


@pytest.mark.parametrize(
    ("code", "row"),
    [("und", 0), ("en", 1), ("EN_us", 1), ("eng", 1), ("English", 1), ("pt_BR", 3), ("pt-PT", 2), ("iw", 4)]
    + [("nb_no", 5), ("zh-Hant-TW", 6), ("cmn_hans_cn", 7)],
)
def test_language_index(code, row):
    assert language_index(code, ["und", "en", "pt", "pt-BR", "he", "no", "zh-TW", "zh"]) == row


def test_unknown_language_lists_the_languages_of_the_model():
    known = ("und", "en", "es", "fr", "it", "ru")
    with pytest.raises(ValueError, match=r"'de'; languages of the model: en \(English\), es .*ru \(Russian\)$"):
        language_index("de", known)
    with pytest.raises(ValueError, match=r"'frensh'.*fr \(French\)"):
        language_index("frensh", known)
    with pytest.raises(ValueError, match=r"'deu' \(de\)"):
        language_index("deu", known)
    with pytest.raises(ValueError, match=r"'klingonish'; languages of the model: en"):
        language_index("klingonish", known)
    with pytest.raises(ValueError, match=r"'pt'.*pt-BR"):
        language_index("pt", ("und", "pt-BR"))
    with pytest.raises(ValueError, match=r"'frensh'; nearest of the 102 known codes: fr \(French\)"):
        language_index("frensh", ("und", *MC4_CODES))


@pytest.mark.parametrize("bad", ["", " ", "x", "xx", "norm", "1", "en us", "en--", "a-b", "en-u-co-phonebk", None, 3])
def test_what_is_no_code(bad):
    with pytest.raises(ValueError):
        canonical_language(bad)
    with pytest.raises(ValueError):
        language_index(bad, ["und", "en"])


def test_sameness():
    assert same_language("pt_BR", "por") and not same_language("es", "pt")


@pytest.mark.parametrize(
    ("name", "code"),
    [("Spanish", "es"), ("CASTILIAN", "es"), ("spa", "es"), ("es-ES", "es-ES"), ("haitian_creole", "ht")]
    + [("Haitian Creole", "ht"), ("mandarin", "zh"), ("Tagalog", "fil"), ("nynorsk", "nn"), ("breton", "br")],
)
def test_languages_by_name(name, code):
    assert canonical_language(name) == code


def test_other_names_agree_with_langcodes():
    langcodes = pytest.importorskip("langcodes", reason="langcodes is not installed")
    for code, name in language_codes._parse_names(language_codes._OTHER_NAMES):
        assert langcodes.tag_is_valid(code) and canonical_language(code) == code
        assert canonical_language(name.title()) == code


def test_all_languages_of_a_model_are_described():
    described = language_codes.describe_languages(["und", "en", "es", "qaa"])
    assert described == "en (English), es (Spanish), qaa"
    assert language_codes.describe_languages(["und"]) == "none"
