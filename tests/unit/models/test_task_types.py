# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tasks against modalities and languages."""

from types import SimpleNamespace

import pytest

from mu2slam_hf.models.task_types import TASKS, canonical_task, check_task, describe_tasks, resolve_task_arguments


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


def test_names_of_whisper():
    assert canonical_task("Transcribe") == canonical_task("transcribe", "text") == "asr"
    assert [canonical_task("translate", modality) for modality in ("speech", "text", None)] == ["ast", "mt", "ast"]
    assert "asr or transcribe (" in describe_tasks() and "ast or translate (" in describe_tasks()
    assert check_task("translate", "text", "text", "es", "en") is TASKS["mt"]


LANGUAGES = ("und", "en", "es", "fr")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"language": "Spanish"}, ("Spanish", None, None)),
        ({"language": "<|es|>", "task": "transcribe"}, ("es", None, "asr")),
        ({"language": "es", "task": "translate"}, ("es", "en", "ast")),
        ({"language": "es", "task": "translate", "target_lang": "fr"}, ("es", "fr", "ast")),
        ({"task": "translate", "has_target": True}, (None, None, "ast")),
        ({"language": ["es", None], "source_lang": ["spa", "fr"]}, (["spa", "fr"], None, None)),
        ({"defaults": SimpleNamespace(language="fr", task="translate")}, ("fr", "en", "ast")),
        ({"defaults": SimpleNamespace(language="fr", task="translate"), "target_lang": "fr"}, ("fr", "fr", None)),
        ({"defaults": SimpleNamespace(language="fr"), "source_lang": "es"}, ("es", None, None)),
        ({"defaults": SimpleNamespace(language="fr"), "has_source": True}, (None, None, None)),
    ],
)
def test_arguments_for_languages_and_task(given, expected):
    assert tuple(resolve_task_arguments(LANGUAGES, "speech", **given)) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": "german"}, "does not support language 'german'"),
        ({"language": "klingonish"}, "unknown language 'klingonish'"),
        ({"task": "dictate"}, "unknown task 'dictate'"),
        ({"language": "es", "source_lang": "fr"}, "differ"),
        ({"language": ["es", "fr"], "source_lang": ["es"] * 3}, "differ"),
        ({"language": 3}, "language must be a code"),
    ],
)
def test_one_error_lists_what_there_is(given, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*asr or transcribe.*en .English., es .Spanish., fr .French."):
        resolve_task_arguments(LANGUAGES, "speech", **given)


def test_translation_into_english_needs_english():
    with pytest.raises(ValueError, match="into English by default.*target_lang="):
        resolve_task_arguments(("und", "es", "fr"), "text", task="translate")
    assert resolve_task_arguments(("und", "es"), "text", task="translate", target_lang="es").task == "mt"
