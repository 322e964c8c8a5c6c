# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import logging
import sys

import pytest

from lab.synthesis.content import CONTENT_KINDS, Content
from lab.synthesis.espeak import EspeakEngine
from lab.synthesis.languages import check_languages, shared_languages
from lab.synthesis.rendering import render
from mu2slam_hf.models.language_codes import canonical_language

pytest.importorskip("espeakng_loader", reason="needs the extra lab")


def test_shared_languages_are_many_and_canonical():
    languages = shared_languages()
    assert len(languages) >= 90 and {"en", "es", "fr", "it", "ru", "zh", "sw", "he"} <= set(languages)
    assert all(canonical_language(lang) == lang for lang in languages)


def test_good_languages_have_all_kinds_in_both_forms(engine):
    for form in ("written", "spoken"):
        for report in check_languages(["it", "ru"], engine=engine, form=form).values():
            assert report.kinds == set(CONTENT_KINDS) and not report.reason


def test_languages_that_cannot_be_spoken_are_left_out_with_a_message(engine, caplog):
    with caplog.at_level(logging.WARNING):
        reports = check_languages(["ja", "fo", "kl", "xx", "fr"], engine=engine)
    assert [lang for lang, report in reports.items() if not report.reason] == ["fr"]
    assert "applies the rules of en" in reports["ja"].reason
    for lang in ("ja", "fo", "kl", "xx"):
        assert f"does not support {lang}: " in caplog.text


@pytest.mark.parametrize(
    "package, call",
    [
        ("babel", shared_languages),
        ("num2words", lambda: render(Content("time", (501,)), "sv")),
        ("espeakng_loader", EspeakEngine),
    ],
)
def test_missing_packages_name_the_extra(monkeypatch, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[lab\]'"):
        call()


def test_kinds_are_left_out_one_by_one(engine):
    report = check_languages(["hi"], engine=engine)["hi"]
    assert not report.reason and "date" in report.kinds and "cardinal" in report.problems
    assert "num2words does not support" in report.problems["cardinal"]
