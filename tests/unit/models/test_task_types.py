# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tasks against modalities and languages."""

import pytest

from mu2slam_hf.models.task_types import TASKS, check_task


@pytest.mark.parametrize(
    "given",
    [
        ("asr", "speech", "text", "es", "es"),
        ("asr", "speech", "text", "pt-BR", "pt"),
        ("asr", "speech", "text", None, "es"),
        ("asr", "speech", None, "es", None),
        ("ASR", "speech", "text", "und", "es"),
        ("ast", "speech", "text", "es", "en"),
        ("ast", "speech", "text", "und", "en"),
        ("mt", "text", "text", "en", "fr"),
        ("tts", "text", "speech", "en", "en"),
        ("s2st", "speech", "speech", "en", "fr"),
        ("asr", None, None, None, None),
    ],
)
def test_what_fits(given):
    assert check_task(*given) is TASKS[given[0].lower()]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (("asr", "speech", "text", "es", "en"), "task='ast'"),
        (("ast", "speech", "text", "es", "es"), "task='asr'"),
        (("mt", "text", "text", "es", "es"), "another target_lang"),
        (("asr", "text", "text", "es", "es"), "pass audio"),
        (("mt", "speech", "text", "es", "en"), "pass text"),
        (("mt", "speech", "text", "es", "en"), "'asr' or 'ast'"),
        (("asr", "speech", "speech", "es", "es"), "'s2st'"),
        (("tts", "text", "text", "es", "es"), "'mt'"),
        (("art", "speech", "text", "es", "es"), "Did you mean 'as[rt]'"),
        ((None, "speech", "text", "es", "es"), "known tasks: asr"),
        (("asr", "video", "text", "es", "es"), "source_modality must be one of"),
        (("asr", "speech", "text", "klingonish", "es"), "unknown language"),
    ],
)
def test_what_does_not_fit_says_what_to_change(given, advice):
    with pytest.raises(ValueError, match=advice):
        check_task(*given)
