# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The arguments for languages and tasks: ours, and those of Whisper, converted to ours.

Ours are `source_lang`, `target_lang` and `task` ("asr", "ast", "mt", ...). Whisper's are `language`, the language of
the source, and `task`: "transcribe" (asr) or "translate" (ast, or mt for texts), by default into English.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .language_codes import describe_languages, language_index
from .task_types import canonical_task, describe_tasks

Languages = str | Sequence[str | None] | None
"""One language for all items of a batch, or one for each (None: unknown)."""

TRANSLATION_TARGET = "en"
"""Default target of `task="translate"`, as in Whisper."""


class TaskArguments(NamedTuple):
    """Languages and task in our terms.

    Attributes:
        source_lang: language of the source, as given.
        target_lang: language of the target; None if neither given nor implied.
        task: name in `TASKS`; None if not given.
    """

    source_lang: Languages
    target_lang: Languages
    task: str | None


def resolve_task_arguments(
    languages: Sequence[str],
    source_modality: str | None,
    *,
    language: Languages = None,
    source_lang: Languages = None,
    target_lang: Languages = None,
    task: str | None = None,
    defaults: Any = None,
    has_source: bool = False,
    has_target: bool = False,
) -> TaskArguments:
    """Convert all ways to name languages and task to ours.

    Args:
        languages: the model's languages (`config.languages`).
        source_modality: "speech" or "text"; None means unknown.
        language: language of the source, in place of `source_lang`; also a token of Whisper such as `<|es|>`.
        source_lang: language of the source.
        target_lang: language of the target.
        task: name in `TASKS` or `TASK_ALIASES`.
        defaults: generation configuration, whose `language` and `task` apply to what the arguments leave open.
        has_source: whether the languages of the sources are given in another form, so that `defaults` do not apply.
        has_target: whether the languages of the targets are given in another form, so that none is implied.

    Raises:
        ValueError: an unknown language or task, `language` and `source_lang` differ, or "translate" without a target
            for a model without English; the message contains all tasks and the languages of the model.
    """
    if language is None and source_lang is None and not has_source:
        language = getattr(defaults, "language", None)
    if task is None and target_lang is None and not has_target:
        task = getattr(defaults, "task", None)
    with listing_choices(languages):
        if language is not None:
            language = _map_languages("language", _without_marks, language)
            if source_lang is not None and not _agree(language, source_lang, languages):
                raise ValueError(
                    f"language={language!r} and source_lang={source_lang!r} differ, but both are the language of the "
                    "source: pass one of them."
                )
            source_lang = language if source_lang is None else source_lang
        for argument, given in (("source_lang", source_lang), ("target_lang", target_lang)):
            _map_languages(argument, lambda code: language_index(code, languages), given)
        name = None if task is None else canonical_task(task, source_modality)
        if task is not None and task.lower() == "translate" and target_lang is None and not has_target:
            if TRANSLATION_TARGET not in languages:
                raise ValueError(
                    f"task={task!r} translates into English by default, which this model does not support: pass "
                    "target_lang=."
                )
            target_lang = TRANSLATION_TARGET
    return TaskArguments(source_lang, target_lang, name)


@contextmanager
def listing_choices(languages: Sequence[str]) -> Iterator[None]:
    """Append all tasks and all languages of a model to the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        tasks = "" if "known tasks:" in str(error) else f" Tasks: {describe_tasks()}."
        text = str(error).rstrip(".")
        raise ValueError(f"{text}.{tasks} Languages of this model: {describe_languages(languages)}.") from None


def _map_languages(argument: str, function: Callable[[Any], Any], codes: Any) -> Any:
    """`function` of one code, or of each code of a list; None remains None."""
    if codes is None or isinstance(codes, str):
        return None if codes is None else function(codes)
    if not isinstance(codes, (list, tuple)):
        raise ValueError(f"{argument} must be a code or a list of codes, got {type(codes).__name__}.")
    return [None if code is None else function(code) for code in codes]


def _without_marks(code: Any) -> Any:
    """`es` for Whisper's token `<|es|>`."""
    return code.strip().removeprefix("<|").removesuffix("|>") if isinstance(code, str) else code


def _agree(first: Languages, second: Languages, languages: Sequence[str]) -> bool:
    """Whether two specifications denote the same languages of the model; one code stands for all items."""
    sides = [list(side) if isinstance(side, (list, tuple)) else [side] for side in (first, second)]
    longest = max(map(len, sides))
    first_codes, second_codes = (side * longest if len(side) == 1 else side for side in sides)
    if len(first_codes) != len(second_codes):
        return False
    known = ((a, b) for a, b in zip(first_codes, second_codes, strict=True) if a is not None and b is not None)
    return all(language_index(a, languages) == language_index(b, languages) for a, b in known)
