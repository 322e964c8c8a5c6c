# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import math

import pytest

from mu2slam_hf.data.records import RecordError, SpeechTextRecord


def test_a_good_record_returns_itself():
    record = SpeechTextRecord(id="a", audio="a.wav", text="hi", lang="en", translations={"pt-BR": "oi"}, corpus="c")
    assert record.validate() is record
    assert record.key == "c/en/a"
    assert record.with_duration(2.0).duration_seconds == 2.0


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"id": " "}, "`id` must be"),
        ({"text": "  "}, "`text` is empty"),
        ({"text": 7}, "must be a string"),
        ({"text": "a\x00b"}, "control character"),
        ({"text": "a\ud800"}, "surrogate"),
        ({"text": None}, "must have `audio` or `text`"),
        ({"lang": "pt_BR"}, "not canonical, use 'pt-BR'"),
        ({"lang": "q9"}, "lang"),
        ({"translations": {"en": "hi"}}, "the language of the record itself"),
        ({"translations": {"fr": ""}}, "`translations[fr]` is empty"),
        ({"duration_seconds": -1.0}, "positive finite"),
        ({"duration_seconds": math.nan}, "positive finite"),
        ({"duration_seconds": True}, "positive finite"),
    ],
)
def test_faults_are_named_with_the_record(fields, part):
    given = {"id": "a7", "text": "hi", "lang": "en", "corpus": "c"} | fields
    with pytest.raises(RecordError) as error:
        SpeechTextRecord(**given).validate()
    assert part in str(error.value)
    if "id" not in fields:
        assert "a7" in str(error.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(RecordError, match="text.*duration"):
        SpeechTextRecord(id="a", text=" ", lang="en", audio="x", duration_seconds=0).validate()
